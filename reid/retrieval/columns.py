"""The columns of an embedding file as its format holds them, and the names under which they are looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from reid.errors import DataError

SIDES = ("query", "gallery")

VECTORS = ("embedding", "embeddings", "vectors")
PIDS = ("pid", "pids")
CAMIDS = ("camid", "camids")
PATHS = ("img_path", "path", "paths")
SUBSETS = ("subset",)
CLASSES = ("class",)
"""The first of each that is present is read; in a .npz of two sides they stand after `query_` and `gallery_`."""


@dataclass(frozen=True)
class Columns:
    """N rows of a file, as found.

    Attributes:
        part: "query" or "gallery" where a file keeps them in arrays of their own, else "".
        found: the names in the file, for messages.
        vectors: [N, D], any type of number.
        pids: [N]; None where the file has none, as `camids`.
        camids: [N].
        paths: [N], or empty.
        sides: [N], "query" or "gallery" for each row, or empty where the file does not tell.
        metadata: how our own file was made; empty for others.
        classes: [N], the name of each row's class, or empty.
    """

    part: str
    found: tuple[str, ...]
    vectors: npt.NDArray[Any]
    pids: npt.NDArray[Any] | None = None
    camids: npt.NDArray[Any] | None = None
    paths: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def vectors_in(found: tuple[str, ...], path: Path) -> str:
    """The name of the column of vectors.

    Raises:
        DataError: there is none; the names found are listed.
    """
    name = first(found, VECTORS)
    if name is None:
        raise DataError(
            f"{path} has no embeddings: it holds {', '.join(found) or 'nothing'}",
            f"vectors are looked for under {', '.join(VECTORS)}, and in a .npz of two sides under query and gallery",
            "write the vectors under one of these names",
        )
    return name


def uneven(path: Path, what: str) -> DataError:
    """The error for embeddings that form no table."""
    return DataError(
        f"the embeddings in {path} are {what}",
        "a distance needs vectors of one dimension",
        "write each embedding as a list of the same count of numbers",
    )


def first(found: tuple[str, ...], names: Iterable[str]) -> str | None:
    """The first of the names that was found; None where none was."""
    return next((name for name in names if name in found), None)
