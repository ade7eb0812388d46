"""Reads the columns of an embedding file: .npz, .parquet or TAO's inference.json, told apart by content.

Nothing is judged here but the form of the file; `files.py` reads labels and refuses vectors that cannot be compared.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.retrieval.columns import CAMIDS, CLASSES, PATHS, PIDS, SIDES, SUBSETS, Columns, first, uneven, vectors_in
from reid.retrieval.label_values import text

METADATA = b"reid"
"""Key of the Arrow schema's metadata under which our own .parquet files say, as JSON, how they were made."""

_MARK = re.compile(r"\s*([\[,\]])\s*")

_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, RecursionError)
"""What damaged files raise. Arrow's errors are among these; JSON that is nested too deeply gives the last."""


def read_columns(path: Path) -> list[Columns]:
    """What a file holds: one part, or query and gallery where a .npz keeps them apart.

    Raises:
        DataError: it does not exist, is truncated, is of another kind, or has no column of vectors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if start.startswith(b"PK"):
            return _read_npz(path)
        if start.startswith(b"PAR1"):
            return [_read_parquet(path)]
        if start.lstrip().startswith(b"["):
            return [_read_json(path)]
    except FileNotFoundError as error:
        raise DataError(
            f"there is no embedding file {path}",
            "nothing can be ranked without the vectors in it",
            "check the path; `reid inference` writes such files",
        ) from error
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        size = f" ({path.stat().st_size:,} bytes)" if path.is_file() else ""
        raise DataError(
            f"{path}{size} cannot be read: {reason}",
            "the file is truncated, damaged, or not plain arrays, a table or a list of numbers",
            "copy it again, or write it again with the program that made it",
        ) from error
    raise DataError(
        f"{path} ({path.stat().st_size:,} bytes) is no embedding file",
        "it begins neither as .npz, nor as .parquet, nor as the list of TAO's inference.json",
        "give one of these; docs/evaluation.md says what each must hold",
    )


def _read_npz(path: Path) -> list[Columns]:
    with np.load(path, allow_pickle=False) as arrays:
        found = tuple(arrays.files)
        sides = [side for side in SIDES if side in found]
        if sides:
            return [_npz_part(arrays, side, f"{side}_", vectors=arrays[side], found=found) for side in sides]
        return [_npz_part(arrays, "", "", vectors=arrays[vectors_in(found, path)], found=found)]


def _npz_part(arrays: Any, part: str, prefix: str, *, vectors: npt.NDArray[Any], found: tuple[str, ...]) -> Columns:
    def array(names: tuple[str, ...]) -> npt.NDArray[Any] | None:
        name = first(found, (prefix + name for name in names))
        return None if name is None else arrays[name].reshape(-1)

    paths = array(PATHS)
    return Columns(
        part=part,
        found=found,
        vectors=vectors,
        pids=array(PIDS),
        camids=array(CAMIDS),
        paths=() if paths is None else tuple(text(value) for value in paths.tolist()),
        sides=(part,) * vectors.shape[0] if part and vectors.ndim else (),
    )


def _read_parquet(path: Path) -> Columns:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        found = tuple(file.schema_arrow.names)
        vectors = vectors_in(found, path)
        names = [first(found, names) for names in (PIDS, CAMIDS, PATHS, SUBSETS, CLASSES)]
        table = file.read(columns=[vectors, *(name for name in names if name)])
        metadata = json.loads((file.schema_arrow.metadata or {}).get(METADATA, b"{}"))
    pids, camids, paths, subsets, classes = (None if name is None else table[name] for name in names)
    return Columns(
        part="",
        found=found,
        vectors=_matrix(table[vectors], path),
        pids=None if pids is None else pids.to_numpy(),
        camids=None if camids is None else camids.to_numpy(),
        paths=() if paths is None else tuple(text(value) for value in paths.to_pylist()),
        sides=() if subsets is None else _sides(subsets.to_pylist(), path),
        metadata=metadata,
        classes=() if classes is None else tuple(value or "" for value in classes.to_pylist()),
    )


def _sides(subsets: list[Any], path: Path) -> tuple[str, ...]:
    others = sorted({str(subset) for subset in subsets} - set(SIDES))
    if others:
        shown = ", ".join(map(repr, others[:5])) + (", ..." if len(others) > 5 else "")
        raise DataError(
            f"the column {SUBSETS[0]} of {path} holds {shown}",
            "it tells which side of the retrieval a row is on, and only query and gallery are known",
            "write query or gallery for each row and leave other rows out, or leave the column out",
        )
    return tuple(subsets)


def _matrix(column: Any, path: Path) -> npt.NDArray[Any]:
    """[N, D] from an Arrow column of lists."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if not (is_list or pa.types.is_fixed_size_list(column.type)):
        raise uneven(path, f"a column of {column.type}, not of lists")
    if len(column) == 0:
        return np.zeros((0, 0), np.float32)
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    numbers = pc.list_flatten(column)
    if len(lengths) > 1 or None in lengths or numbers.null_count:
        raise uneven(path, f"lists of {', '.join(map(str, lengths[:5]))} numbers, {numbers.null_count} numbers missing")
    matrix: npt.NDArray[Any] = numbers.to_numpy().reshape(len(column), lengths[0])
    return matrix


def _read_json(path: Path) -> Columns:
    paths: list[str] = []
    vectors: list[npt.NDArray[np.float32]] = []
    for row, entry in enumerate(_entries(path.read_text(encoding="utf-8"))):
        name, vector = _image(entry, row=row, path=path)
        paths.append(name)
        vectors.append(vector)
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1:
        raise uneven(path, f"lists of {', '.join(map(str, lengths[:5]))} numbers")
    matrix = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
    return Columns(part="", found=("img_path", "embedding"), vectors=matrix, paths=tuple(paths))


def _entries(text: str) -> Iterator[Any]:
    """The entries of a JSON list one by one: all of them as Python's numbers would take many times the file."""
    decoder = json.JSONDecoder()
    _, at = _mark(text, 0)
    mark, at = _mark(text, at) if text.startswith("]", at) else (",", at)
    while mark == ",":
        entry, end = decoder.raw_decode(text, at)
        yield entry
        mark, at = _mark(text, end)
    if mark != "]" or at < len(text):
        raise ValueError(f"the list of images is followed by {text[at : at + 20]!r}")


def _mark(text: str, at: int) -> tuple[str, int]:
    """The bracket or comma that comes next, and where the word after it begins."""
    found = _MARK.match(text, at)
    if found is None:
        raise ValueError("the list of images breaks off")
    return found[1], found.end()


def _image(entry: Any, *, row: int, path: Path) -> tuple[str, npt.NDArray[np.float32]]:
    try:
        name, vector = entry["img_path"], np.array(entry["embedding"], dtype=np.float32)
        if not isinstance(name, str) or vector.ndim != 1:
            raise TypeError
    except (KeyError, TypeError, ValueError) as error:
        keys = f"the keys {', '.join(map(str, entry))}" if isinstance(entry, dict) else f"a {type(entry).__name__}"
        raise DataError(
            f"entry {row} of {path} is not an image with its embedding (it is or has {keys})",
            'TAO\'s inference.json is a list of {"img_path": "...", "embedding": [number, ...]}',
            "write the file again with inference, or convert it to .npz or .parquet",
        ) from error
    return name, vector
