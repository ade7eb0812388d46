"""The queries of a search: pictures, folders of pictures, or rows of the gallery, and their embeddings."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reid.actions.pictures import checkpoint_of, embed_pictures
from reid.data.images import is_image
from reid.errors import CheckpointError, DataError
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.gallery_file import GalleryFile

if TYPE_CHECKING:
    from reid.devices import DeviceChoice

_ROW = "row:"
_FIX = "give pictures that can be read, folders of them, or row:N of the gallery file"


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
        DataError: there is no such picture or row, it is an archive, or a folder holds no picture.
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
            queries.append(Query(one, picture=_picture(one)))
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
        network = checkpoint_of(gallery.path, gallery.metadata, checkpoint)
        files = [file for _, file in pictures]
        embedded = embed_pictures(files, network, kind="query", fix=_FIX, device=device)
        if embedded.shape[1] != gallery.dim:
            raise CheckpointError(
                f"{network.path} gives embeddings of {embedded.shape[1]} numbers, "
                f"and {gallery.path} holds {gallery.dim} each",
                "they are of different networks",
                "give the checkpoint that embedded the gallery with --checkpoint",
            )
        vectors[[number for number, _ in pictures]] = embedded
    return vectors


def _picture(asked: str) -> Path:
    path = Path(asked)
    if not path.is_file():
        raise DataError(
            f"the query {asked} is no file", "a query is a picture, a folder of them, or row:N", "check the name"
        )
    if not is_image(path) and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
        raise DataError(
            f"the query {asked} is an archive",
            "a query is a picture, a folder of them, or row:N",
            "extract it and give the folder with the pictures",
        )
    return path


def _row(asked: str, gallery: GalleryFile) -> int:
    number = asked.removeprefix(_ROW)
    if not number.isdecimal() or int(number) >= gallery.total:
        raise DataError(
            f"the query {asked} is no row of {gallery.path}",
            f"its rows are row:0 to row:{gallery.total - 1}",
            "give one of these, or the file of a picture",
        )
    return int(number)
