"""The `sample` action: writes the embedded data set, drawn pedestrians in Market-1501 naming."""

from __future__ import annotations

from pathlib import Path

from reid.actions.result import ActionResult
from reid.data.synthetic import generate


def sample(
    out: Path,
    *,
    identities: int = 96,
    cameras: int = 4,
    images_per_camera: int = 4,
    seed: int = 0,
    workers: int | None = None,
) -> ActionResult:
    """Draws sample_train.tar.gz, sample_test.tar.gz (the gallery) and sample_query.tar.gz into `out`.

    The same arguments give the same bytes, whatever `workers` is. Market-1501's size is 1501 identities, 6 cameras and
    4 images per camera.

    Args:
        out: folder for the archives; made when missing.
        identities: people in all; half are for training, half for the test.
        cameras: at least 2.
        images_per_camera: of each person, at least 2: of a test identity one is a query and the others are gallery.
        seed: not negative.
        workers: processes; None takes all cores, and one for a small sample.

    Raises:
        DataError: an argument is out of bounds.
        StorageError: the disk is full or not writable; no half-written archive is left.
    """
    counts = generate(
        out, identities=identities, cameras=cameras, images_per_camera=images_per_camera, seed=seed, workers=workers
    )
    return ActionResult(
        action="sample",
        results_dir=out,
        figures={
            "train_images": counts.train,
            "query_images": counts.query,
            "gallery_images": counts.gallery,
            "junk_images": counts.junk,
            "distractor_images": counts.distractors,
            "train_identities": counts.train_identities,
            "test_identities": counts.test_identities,
            "cameras": counts.cameras,
        },
        files=dict(counts.archives),
    )
