"""Embeddings of any program, read from a file and checked: what `reid evaluate` and `reid search` start from.

Which columns are looked for stands in `columns.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.labels import JUNK_PID, labels_of
from reid.retrieval.columns import Columns
from reid.retrieval.embeddings import BoolArray, FloatArray, IntArray, require_comparable
from reid.retrieval.file_formats import read_columns

Side = Literal["query", "gallery"]

UNKNOWN = -2
"""Identity and camera of a row for which the file gives none."""


@dataclass(frozen=True)
class EmbeddingFile:
    """The rows of one file, all of them: junk and rows without labels too.

    Attributes:
        path: the file.
        found: the names of its columns or arrays.
        vectors: float32 [N, D], finite and not zero.
        pids: int64 [N]; -1 is junk, 0 a distractor, `UNKNOWN` where there is no label.
        camids: int64 [N]; `UNKNOWN` where there is none.
        paths: of the images; [N], or empty.
        sides: "query" or "gallery" for each row; [N], or empty where the file does not tell.
        labels_from_names: identity and camera were read from the base names of the paths.
        metadata: how our own `inference` made it: checkpoint, checkpoint_sha256, preprocess, l2_normalised, neck_feat,
            with_flip_feature. Empty for files of other programs.
    """

    path: Path
    found: tuple[str, ...]
    vectors: FloatArray
    pids: IntArray
    camids: IntArray
    paths: tuple[str, ...]
    sides: tuple[str, ...]
    labels_from_names: bool
    metadata: dict[str, Any]

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, wanted: BoolArray) -> EmbeddingFile:
        """Some of the rows; wanted is bool [N]."""
        if wanted.all():
            return self
        return replace(
            self,
            vectors=self.vectors[wanted],
            pids=self.pids[wanted],
            camids=self.camids[wanted],
            paths=tuple(np.array(self.paths, dtype=object)[wanted]) if self.paths else (),
            sides=tuple(np.array(self.sides, dtype=object)[wanted]) if self.sides else (),
        )

    def side(self, side: Side) -> EmbeddingFile:
        """The rows of one side; all of them where the file does not tell sides apart."""
        return self.take(np.array(self.sides) == side) if self.sides else self


def read_embeddings(path: Path) -> EmbeddingFile:
    """Reads a .npz, .parquet or inference.json file.

    Identity and camera are those of the columns where it has both, else those of the base names of the paths.

    Raises:
        DataError: it cannot be read, has no vectors, its columns differ in length, a label is not a whole number, or a
            vector is zero, infinite or NaN; the row is named.
    """
    path = Path(path)
    parts = [_checked(path, columns) for columns in read_columns(path)]
    if len(parts) == 1:
        return parts[0]
    query, gallery = parts
    if query.vectors.shape[1] != gallery.vectors.shape[1]:
        raise DataError(
            f"query embeddings of {path} have {query.vectors.shape[1]} numbers, gallery embeddings "
            f"{gallery.vectors.shape[1]}",
            "a distance needs vectors of one dimension",
            "write both sides with the same network",
        )
    return replace(
        query,
        vectors=np.concatenate([query.vectors, gallery.vectors]),
        pids=np.concatenate([query.pids, gallery.pids]),
        camids=np.concatenate([query.camids, gallery.camids]),
        paths=query.paths + gallery.paths if query.paths and gallery.paths else (),
        sides=query.sides + gallery.sides,
        labels_from_names=query.labels_from_names or gallery.labels_from_names,
    )


def _checked(path: Path, columns: Columns) -> EmbeddingFile:
    place = f"{columns.part} of {path}" if columns.part else str(path)
    vectors = columns.vectors
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number) or np.iscomplexobj(vectors):
        raise DataError(
            f"the embeddings in {place} are an array of shape {vectors.shape} and type {vectors.dtype}",
            "they must be a table of numbers with a row for each image",
            "write them as float32 or float16, one row an image",
        )
    count = len(vectors)
    given = {
        "pids": columns.pids,
        "camids": columns.camids,
        "paths": columns.paths or None,
        "sides": columns.sides or None,
    }
    lengths = {name: len(values) for name, values in given.items() if values is not None and len(values) != count}
    if lengths:
        shown = ", ".join(f"{number} {name}" for name, number in lengths.items())
        raise DataError(
            f"{place} has {count} vectors and {shown}", "each vector needs one of each", "write the file again"
        )
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is then named
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    require_comparable(
        vectors, lambda row: f"row {row} of {place}" + (f" ({columns.paths[row]})" if columns.paths else "")
    )
    from_names = columns.pids is None or columns.camids is None
    if from_names:
        pids, camids = _labels_of(columns.paths) if columns.paths else (np.full(count, UNKNOWN),) * 2
    else:
        pids, camids = (
            _integers(values, name, place) for values, name in ((columns.pids, "pid"), (columns.camids, "camid"))
        )
    return EmbeddingFile(
        path, columns.found, vectors, pids, camids, columns.paths, columns.sides, from_names, columns.metadata
    )


def _labels_of(paths: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    labels = [labels_of(PurePath(path).name) or (UNKNOWN, UNKNOWN) for path in paths]
    pids, camids = np.array(labels, dtype=np.int64).reshape(-1, 2).T
    return pids, camids


def _integers(values: npt.NDArray[Any] | None, name: str, place: str) -> IntArray:
    """int64 [N]; `UNKNOWN` where a value is missing (null in a table reads as NaN).

    Whole numbers stay whole numbers on the way, since floating point merges neighbours: 2**60 and 2**60 + 1 are one.
    """
    assert values is not None
    if np.issubdtype(values.dtype, np.integer):
        numbers, missing = values, np.zeros(len(values), np.bool_)
        wrong = (values < JUNK_PID) | (values > np.iinfo(np.int64).max)
    else:
        numbers, missing = _floats(values)
        _require_exact(numbers, values, name, place)
        wrong = ~missing & ((numbers != np.floor(numbers)) | np.isinf(numbers) | (numbers < JUNK_PID))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{name} of row {row} of {place} is {values[row : row + 1].tolist()[0]!r}",
            "identities and cameras are whole numbers up to 2^63 - 1, with -1 for junk and 0 for distractors",
            "number identities and cameras, and write the file again",
        )
    return np.where(missing, UNKNOWN, numbers).astype(np.int64)


def _floats(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """float64 [N], infinite throughout where one is no number, and bool [N], where a value is missing."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.full(len(values), np.inf)
    return numbers, np.isnan(numbers)


def _require_exact(numbers: npt.NDArray[np.float64], values: npt.NDArray[Any], name: str, place: str) -> None:
    """Refuses finite numbers so large that their type does not tell whole neighbours apart."""
    kind = values.dtype if values.dtype in (np.float16, np.float32) else numbers.dtype
    limit = 2 ** (np.finfo(kind).nmant + 1)
    merged = np.isfinite(numbers) & (numbers >= limit)
    if merged.any():
        row = int(merged.argmax())
        raise DataError(
            f"{name} of row {row} of {place} is {values[row : row + 1].tolist()[0]!r}, read as {kind}",
            f"from {limit:,} on, that type gives different whole numbers one value, so two people could become one",
            "write the labels as int64 without empty values, or number them from 1",
        )
