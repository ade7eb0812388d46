"""Embeddings of any program, read from a file and checked: what `reid evaluate` and `reid search` start from.

Which columns are looked for stands in `columns.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from reid.errors import DataError
from reid.labels import labels_of
from reid.retrieval.columns import Columns
from reid.retrieval.embeddings import BoolArray, FloatArray, IntArray, require_comparable
from reid.retrieval.file_formats import read_columns
from reid.retrieval.label_values import UNKNOWN, whole_numbers

Side = Literal["query", "gallery"]


@dataclass(frozen=True)
class EmbeddingFile:
    """The rows of one file, all of them: junk and rows without labels too.

    Attributes:
        path: the file.
        found: the names of its columns or arrays.
        vectors: float32 [N, D], finite.
        pids: int64 [N]; -1 is junk, 0 a distractor, `UNKNOWN` where there is no label.
        camids: int64 [N]; `UNKNOWN` where there is none.
        paths: of the images; [N], or empty.
        sides: "query" or "gallery" for each row; [N], or empty where the file does not tell.
        labels_from_names: identity and camera were read from the base names of the paths.
        metadata: how our own `inference` made it: checkpoint, checkpoint_sha256, preprocess, l2_normalised, neck_feat,
            with_flip_feature. Empty for files of other programs.
        classes: name of each identity, where the file names classes.
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
    classes: Mapping[int, str] = field(default_factory=dict)

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
            vector is infinite or NaN; the row is named.
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
    if columns.pids is None or columns.camids is None:
        pids, camids = _labels_of(columns.paths) if columns.paths else (np.full(count, UNKNOWN),) * 2
    else:
        pids, camids = whole_numbers(columns.pids, "pid", place), whole_numbers(columns.camids, "camid", place)
    return EmbeddingFile(
        path,
        columns.found,
        vectors,
        pids,
        camids,
        columns.paths,
        columns.sides,
        from_names,
        columns.metadata,
        _class_names(place, pids, columns.classes),
    )


def _class_names(place: str, pids: IntArray, names: tuple[str, ...]) -> dict[int, str]:
    """The name of each identity; rows without a name tell nothing.

    Raises:
        DataError: an identity has two names.
    """
    found: dict[int, str] = {}
    for pid, name in zip(pids.tolist(), names, strict=bool(names)):
        if name and found.setdefault(pid, name) != name:
            raise DataError(
                f"{place} calls identity {pid} both {found[pid]} and {name}",
                "a class has one number and one name",
                "write the file again, or leave the column class out",
            )
    return found


def _labels_of(paths: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    labels = [labels_of(PurePath(path).name) or (UNKNOWN, UNKNOWN) for path in paths]
    pids, camids = np.array(labels, dtype=np.int64).reshape(-1, 2).T
    return pids, camids
