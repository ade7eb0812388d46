"""The queries of a search: pictures, folders of pictures, or rows of the gallery, and their embeddings."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid.actions.scoring import embed_pixels
from reid.data.images import Pixels, Preprocess, is_image
from reid.data.progress import progress
from reid.errors import CheckpointError, DataError
from reid.files import sha256_of
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.gallery_file import GalleryFile
from reid.spec.load import KEY_VARIABLE

if TYPE_CHECKING:
    from reid.devices import DeviceChoice
    from reid.model.checkpoint import Checkpoint

log = logging.getLogger(__name__)

_ROW = "row:"
_BATCH = 64


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        asked: as it was given.
        picture: the image file; None for a row of the gallery.
        row: of the gallery file; None for a picture.
    """

    asked: str
    picture: Path | None = None
    row: int | None = None


def read_queries(asked: Sequence[str], gallery: GalleryFile) -> list[Query]:
    """Pictures by name, all pictures of a folder in the order of their names, and `row:N` of the gallery file.

    Raises:
        DataError: there is no such picture or row, or a folder holds no picture.
    """
    queries: list[Query] = []
    for one in asked:
        if one.startswith(_ROW):
            queries.append(Query(one, row=_row(one, gallery)))
        elif Path(one).is_dir():
            found = sorted(path for path in Path(one).iterdir() if is_image(path) and not path.name.startswith("."))
            if not found:
                raise DataError(
                    f"the query folder {one} holds no picture",
                    "pictures end in .jpg, .jpeg, .png, .bmp or .webp, and folders below are not looked into",
                    "name the folder that holds them, or the pictures themselves",
                )
            queries += [Query(str(path), picture=path) for path in found]
        else:
            queries.append(Query(one, picture=Path(one)))
    return queries


def embed_queries(
    queries: Sequence[Query], gallery: GalleryFile, *, checkpoint: Path | None, device: DeviceChoice
) -> FloatArray:
    """Embeddings float32 [Q, D]: of pictures by the network that embedded the gallery, of rows by the file.

    Raises:
        DataError: a picture cannot be read.
        CheckpointError: the checkpoint is not known, missing, or not the one that embedded the gallery.
    """
    rows = [number for number, query in enumerate(queries) if query.row is not None]
    pictures = [(number, query.picture) for number, query in enumerate(queries) if query.picture is not None]
    vectors = np.empty((len(queries), gallery.dim), np.float32)
    if rows:
        vectors[rows] = gallery.vectors([row for query in queries if (row := query.row) is not None])
    if pictures:
        path = _checkpoint_path(gallery, checkpoint)
        checkpoint_read = _same_vector(_load(path), gallery.metadata)
        preprocess = Preprocess.from_dict(checkpoint_read.preprocess)
        embedded = _embed(checkpoint_read, _pixels([file for _, file in pictures], preprocess), preprocess, device)
        if embedded.shape[1] != gallery.dim:
            raise CheckpointError(
                f"{path} gives embeddings of {embedded.shape[1]} numbers, and {gallery.path} holds {gallery.dim} each",
                "they are of different networks",
                "give the checkpoint that embedded the gallery with --checkpoint",
            )
        vectors[[number for number, _ in pictures]] = embedded
    return vectors


def _row(asked: str, gallery: GalleryFile) -> int:
    number = asked.removeprefix(_ROW)
    if not number.isdecimal() or int(number) >= gallery.total:
        raise DataError(
            f"the query {asked} is no row of {gallery.path}",
            f"its rows are row:0 to row:{gallery.total - 1}",
            "give one of these, or the file of a picture",
        )
    return int(number)


def _checkpoint_path(gallery: GalleryFile, given: Path | None) -> Path:
    """The checkpoint of the gallery, known to be the same file where the gallery says which."""
    noted: str | None = gallery.metadata.get("checkpoint")
    expected: str | None = gallery.metadata.get("checkpoint_sha256")
    path = given or (Path(noted) if noted else None)
    if path is None:
        raise CheckpointError(
            f"{gallery.path} does not say which checkpoint embedded it",
            "queries must be embedded by the same network",
            "name it with --checkpoint FILE, or search for rows of the gallery with row:N",
        )
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint {path}" + ("" if given else f", which {gallery.path} names"),
            "queries must be embedded by the network that embedded the gallery",
            "name the file where it is now with --checkpoint FILE",
        )
    if expected is None:
        log.warning("%s does not say which checkpoint embedded it: nothing shows that it was %s", gallery.path, path)
    elif (found := sha256_of(path)) != expected:
        raise CheckpointError(
            f"{path} is not the checkpoint that embedded {gallery.path}: its SHA-256 begins {found[:12]}, and that of "
            f"the gallery's {expected[:12]}",
            "distances between embeddings of two networks mean nothing",
            "give the gallery's own checkpoint with --checkpoint FILE, or run inference again with this one",
        )
    return path


def _load(path: Path) -> Checkpoint:
    from reid.model.checkpoint import load_checkpoint  # needs torch, which a search for rows does not

    return load_checkpoint(path, encryption_key=os.environ.get(KEY_VARIABLE, ""))


def _same_vector(checkpoint: Checkpoint, metadata: dict[str, Any]) -> Checkpoint:
    """The network with the vector as its embedding that was chosen when the gallery was embedded."""
    chosen = {key: metadata[key] for key in ("neck_feat", "with_flip_feature") if key in metadata}
    return replace(checkpoint, network=replace(checkpoint.network, **chosen))


def _pixels(pictures: Sequence[Path], preprocess: Preprocess) -> Pixels:
    """uint8 [N, H, W, 3] at the network's input size."""
    read = []
    for path in pictures:
        try:
            read.append(preprocess.load(path))
        except DataError as error:
            raise DataError(
                f"the query {error.found}",
                error.why or "a query is a picture, a folder of pictures, or row:N of the gallery file",
                "give pictures that can be read",
            ) from error
    return np.stack(read)


def _embed(checkpoint: Checkpoint, pixels: Pixels, preprocess: Preprocess, device: DeviceChoice) -> FloatArray:
    from reid.devices import choose_device

    chosen = choose_device(device)
    with progress("embedding queries", len(pixels), unit="pictures") as advance:
        network = checkpoint.build_network().to(chosen)
        vectors = embed_pixels(network, pixels.__getitem__, len(pixels), preprocess, _BATCH, chosen, advance)
    assert vectors is not None, "a search runs in one process"
    return vectors
