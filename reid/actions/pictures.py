"""Single pictures, embedded as a gallery file was: by its checkpoint, with the vector that was chosen then."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid.actions.protocol import VECTOR
from reid.actions.scoring import embed_pixels
from reid.data.images import Pixels, Preprocess
from reid.data.progress import progress
from reid.errors import CheckpointError, DataError
from reid.files import sha256_of
from reid.retrieval.embeddings import FloatArray, IntArray
from reid.spec.load import KEY_VARIABLE

if TYPE_CHECKING:
    from reid.devices import DeviceChoice
    from reid.model.checkpoint import Checkpoint

log = logging.getLogger(__name__)

_BATCH = 64


def embed_pictures(
    pictures: Sequence[Path], checkpoint: Checkpoint, *, kind: str, fix: str, device: DeviceChoice
) -> FloatArray:
    """Embeddings float32 [N, D] of picture files, decoded batch by batch.

    Args:
        pictures: at least one.
        checkpoint: the network.
        kind: what messages call a picture, such as "query".
        fix: what to do where one cannot be read.
        device: of the network.

    Raises:
        DataError: a picture cannot be read.
    """
    from reid.devices import choose_device

    preprocess, chosen = Preprocess.from_dict(checkpoint.preprocess), choose_device(device)

    def pixels(rows: IntArray) -> Pixels:
        return np.stack([_pixels(pictures[row], preprocess, kind, fix) for row in rows.tolist()])

    network = checkpoint.build_network().to(chosen)
    with progress(f"embedding {kind} pictures", len(pictures), unit="pictures") as advance:
        vectors = embed_pixels(network, pixels, len(pictures), preprocess, _BATCH, chosen, advance)
    assert vectors is not None, "single pictures are embedded in one process"
    return vectors


def checkpoint_of(gallery: Path, made_by: Mapping[str, Any], given: Path | None) -> Checkpoint:
    """The checkpoint that embedded a gallery file, set to give the same vector.

    Args:
        gallery: the file.
        made_by: what it says of its network.
        given: where the checkpoint is now; None for the place that the file names.

    Raises:
        CheckpointError: it is not known, missing, or not the one that embedded the gallery, by SHA-256.
    """
    checkpoint = read_checkpoint(_checkpoint_path(gallery, made_by, given))
    chosen = {key: made_by[key] for key in VECTOR if key in made_by}
    return replace(checkpoint, network=replace(checkpoint.network, **chosen))


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint, deciphered by the passphrase of the environment where it is encrypted."""
    from reid.model.checkpoint import load_checkpoint  # needs torch, which a search for rows does not

    return load_checkpoint(path, encryption_key=os.environ.get(KEY_VARIABLE, ""))


def notes_on(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a file of embeddings says of its network."""
    return {
        "checkpoint": str(checkpoint.path.absolute()),
        "checkpoint_sha256": checkpoint.sha256,
        "preprocess": checkpoint.preprocess,
        "neck_feat": checkpoint.network.neck_feat,
        "with_flip_feature": checkpoint.network.with_flip_feature,
        "l2_normalised": False,
    }


def _checkpoint_path(gallery: Path, made_by: Mapping[str, Any], given: Path | None) -> Path:
    noted: str | None = made_by.get("checkpoint")
    expected: str | None = made_by.get("checkpoint_sha256")
    path = given or (Path(noted) if noted else None)
    if path is None:
        raise CheckpointError(
            f"{gallery} does not say which checkpoint embedded it",
            "other pictures must be embedded by the same network",
            "name it with --checkpoint FILE; `reid search` also takes rows of the gallery, row:N, without one",
        )
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint {path}" + ("" if given else f", which {gallery} names"),
            "other pictures must be embedded by the network that embedded the gallery",
            "name the file where it is now with --checkpoint FILE",
        )
    if expected is None:
        log.warning("%s does not say which checkpoint embedded it: nothing shows that it was %s", gallery, path)
    elif (found := sha256_of(path)) != expected:
        raise CheckpointError(
            f"{path} is not the checkpoint that embedded {gallery}: its SHA-256 begins {found[:12]}, and that of "
            f"the gallery's {expected[:12]}",
            "distances between embeddings of two networks mean nothing",
            "give the gallery's own checkpoint with --checkpoint FILE, or embed the whole gallery again with this one",
        )
    return path


def _pixels(path: Path, preprocess: Preprocess, kind: str, fix: str) -> Pixels:
    try:
        return preprocess.load(path)
    except DataError as error:
        raise DataError(f"the {kind} {error.found}", error.why, fix) from error
