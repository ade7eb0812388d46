"""The `sample` action: writes the embedded data set of a family, drawn pedestrians or drawn products."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reid.actions.result import ActionResult
from reid.data.synthetic import generate, generate_classes


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


def sample_classes(
    out: Path, *, classes: int = 16, unknown_classes: int = 8, images_per_class: int = 20, seed: int = 0
) -> ActionResult:
    """Draws products in class folders: known_train, known_reference, known_val, unknown_reference, unknown_test.tar.gz.

    The same arguments give the same bytes.

    Args:
        out: folder for the archives; made when missing.
        classes: to train on, at least 2.
        unknown_classes: that no training sees, at least 2.
        images_per_class: training images of each known class, at least 2; there are 4 references of each class, and 8
            images that ask.
        seed: not negative.

    Raises:
        DataError: an argument is out of bounds.
        StorageError: the disk is full or not writable; no half-written archive is left.
    """
    drawn = generate_classes(out, known=classes, unknown=unknown_classes, images_per_class=images_per_class, seed=seed)
    return ActionResult(
        action="sample",
        results_dir=out,
        figures={
            **{f"{name}_images": count for name, count in drawn.images.items()},
            "known_classes": drawn.known,
            "unknown_classes": drawn.unknown,
        },
        files=dict(drawn.archives),
    )


SAMPLES: dict[str, Callable[..., ActionResult]] = {"re_identification": sample, "ml_recog": sample_classes}
"""Who draws the sample of a family."""
