"""What every reader of gallery embeddings gives, and the errors they share."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.retrieval.embeddings import FloatArray, IntArray
from reid.retrieval.label_values import UNKNOWN, text, whole_numbers
from reid.retrieval.search import BLOCK_ROWS

Subset = Literal["gallery", "query", "all"]

FIX = "give embeddings.parquet as inference writes it, or an .npz file with the array gallery, embeddings or vectors"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class GalleryImage:
    """What a file says of one of its rows; None for what it does not say."""

    path: str | None
    pid: int | None
    camid: int | None
    class_name: str | None = None


class GalleryFile(Protocol):
    """An open file of embeddings.

    Attributes:
        path: the file.
        dim: numbers in one embedding, D.
        rows: int64 [N], the rows of the file that are searched, ascending.
        total: rows of the file, searched or not.
        metadata: what the writer noted: checkpoint, preprocessing; empty where it noted nothing.
    """

    path: Path
    dim: int
    rows: IntArray
    total: int
    metadata: dict[str, Any]

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """Position in `rows` of the first vector of a block, and its vectors float32 [b, D], b at most `size`."""
        ...

    def vectors(self, rows: Sequence[int]) -> FloatArray:
        """float32 [n, D], the vectors of some rows of the file, whether they are searched or not."""
        ...

    def images(self, rows: Sequence[int]) -> list[GalleryImage]:
        """What is known of some rows of the file."""
        ...


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what libraries raise on damaged files into a DataError that names the file."""
    try:
        yield
    except _DAMAGED as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path} cannot be read ({path.stat().st_size:,} bytes): {reason}",
            "the file is damaged or of another kind",
            FIX,
        ) from error


def pick(rows: Sequence[int], dim: int, blocks: Iterable[FloatArray]) -> FloatArray:
    """float32 [n, D], the vectors of some rows of a file, from all of its blocks in order."""
    wanted, first = np.asarray(rows, np.int64), 0
    found = np.empty((len(rows), dim), np.float32)
    for block in blocks:
        here = (wanted >= first) & (wanted < first + len(block))
        found[here] = block[wanted[here] - first]
        first += len(block)
    return found


def images_of(
    rows: Sequence[int],
    paths: Sequence[object] | None,
    pids: npt.NDArray[Any] | None,
    camids: npt.NDArray[Any] | None,
    classes: Sequence[object] | None,
    place: Path,
) -> list[GalleryImage]:
    """What a file says of some of its rows.

    Args:
        rows: of the file.
        paths: text or bytes of those rows; None where the file has none, as the next two.
        pids: of all rows.
        camids: of all rows.
        classes: names of those rows' classes, text or bytes.
        place: the file, for messages.

    Raises:
        DataError: an identity or camera is no whole number; the row is named.
    """
    nothing = [None] * len(rows)
    names, of_class = (
        [None if value is None else text(value) for value in values or nothing] for values in (paths, classes)
    )
    labels = [_labels(rows, values, name, place) for name, values in (("pid", pids), ("camid", camids))]
    return [GalleryImage(*values) for values in zip(names, *labels, of_class, strict=True)]


def no_vectors(path: Path, found: Sequence[str], wanted: str) -> DataError:
    """The error of a file without embeddings, naming what it holds instead."""
    return DataError(
        f"{path} has no {wanted}; it holds {', '.join(found) or 'nothing'}", "there are no vectors to search", FIX
    )


def no_sides(path: Path) -> DataError:
    """The error of a file that is asked for its queries and does not tell query from gallery."""
    return DataError(
        f"the rows of {path} are not told apart into query and gallery",
        "--subset query searches those of the query alone",
        "leave --subset out to search all rows",
    )


def _labels(rows: Sequence[int], values: npt.NDArray[Any] | None, name: str, place: Path) -> list[int | None]:
    if values is None:
        return [None] * len(rows)
    known = whole_numbers(values, name, str(place))[np.asarray(rows, np.int64)].tolist()
    return [None if label == UNKNOWN else label for label in known]
