"""Gallery embeddings in an `.npz` file of any program, read as a stream: numpy itself would load the whole array."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import DataError
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.gallery_file import GalleryImage, Subset, no_vectors, reading
from reid.retrieval.search import BLOCK_ROWS

_ONE_SIDE = ("vectors", "embeddings")


class NpzGallery:
    """Array `gallery` or `query` with `gallery_path`, `_pid`, `_camid`; or `vectors`, or `embeddings`, with `path`, ...

    All but the vectors may be missing. The subset `all` of a file with two sides is its gallery.
    """

    def __init__(self, path: Path, subset: Subset) -> None:
        self.path = path
        self.metadata: dict[str, Any] = {}
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        wanted = ("query" if subset == "query" else "gallery", *_ONE_SIDE)
        self._name = next((name for name in wanted if name in names), "")
        if not self._name:
            raise no_vectors(path, names, "array " + " or ".join(wanted))
        self._prefix = "" if self._name in _ONE_SIDE else f"{self._name}_"
        with self._stream() as (shape, _, _):
            if len(shape) != 2:
                raise no_vectors(path, [f"{self._name} of shape {shape}"], "array of shape [N, D]")
            self.total, self.dim = shape
        self.rows = np.arange(self.total, dtype=np.int64)

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """See `GalleryFile`."""
        with reading(self.path), self._stream() as (_, dtype, file):
            for first in range(0, self.total, BLOCK_ROWS):
                size = min(BLOCK_ROWS, self.total - first)
                numbers = np.frombuffer(file.read(size * self.dim * dtype.itemsize), dtype)
                yield first, numbers.reshape(size, self.dim).astype(np.float32, copy=False)

    def vectors(self, rows: Sequence[int]) -> FloatArray:
        """See `GalleryFile`."""
        wanted = np.asarray(rows)
        found = np.empty((len(rows), self.dim), np.float32)
        for first, block in self.blocks():
            here = (wanted >= first) & (wanted < first + len(block))
            found[here] = block[wanted[here] - first]
        return found

    def images(self, rows: Sequence[int]) -> list[GalleryImage]:
        """See `GalleryFile`."""
        with reading(self.path), np.load(self.path, allow_pickle=False) as arrays:
            path, pid, camid = (arrays.get(self._prefix + name) for name in ("path", "pid", "camid"))
        return [
            GalleryImage(
                None if path is None else str(path[row]),
                None if pid is None else int(pid[row]),
                None if camid is None else int(camid[row]),
            )
            for row in rows
        ]

    @contextmanager
    def _stream(self) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], Any]]:
        """Shape and type of the vectors, and their bytes from the first on."""
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self._name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(file)
            if by_columns or dtype.kind != "f":
                raise DataError(
                    f"the array {self._name} of {self.path} is {dtype}{', stored by columns' if by_columns else ''}",
                    "vectors are rows of floating-point numbers",
                    "write numpy.ascontiguousarray(vectors, numpy.float32)",
                )
            yield shape, dtype, file
