"""Gallery embeddings in an `.npz` file of any program, read as a stream: numpy itself would load the whole array."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import DataError
from reid.retrieval.columns import CAMIDS, CLASSES, PATHS, PIDS, VECTORS, first
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.gallery_file import GalleryImage, Subset, images_of, no_sides, no_vectors, pick, reading
from reid.retrieval.search import BLOCK_ROWS


class NpzGallery:
    """Array `gallery` or `query` with `gallery_path`, `_pid`, `_camid`, `_class`; or `embeddings` with `path`, ...

    All but the vectors may be missing. The subset `all` of a file with two sides is its gallery.
    """

    def __init__(self, path: Path, subset: Subset) -> None:
        self.path = path
        self.metadata: dict[str, Any] = {}
        with zipfile.ZipFile(path) as archive:
            found = tuple(name.removesuffix(".npy") for name in archive.namelist())
        side = "query" if subset == "query" else "gallery"
        name = first(found, (side, *VECTORS))
        if name is None:
            raise no_vectors(path, found, f"array {side} or {' or '.join(VECTORS)}")
        if subset == "query" and name != side:
            raise no_sides(path)
        self._name, prefix = name, f"{side}_" if name == side else ""
        self._labels = [first(found, (prefix + label for label in labels)) for labels in (PATHS, PIDS, CAMIDS, CLASSES)]
        with self._stream() as (shape, _, _):
            if len(shape) != 2:
                raise no_vectors(path, [f"{self._name} of shape {shape}"], "array of shape [N, D]")
            self.total, self.dim = shape
        self.rows = np.arange(self.total, dtype=np.int64)

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """See `GalleryFile`."""
        with reading(self.path), self._stream() as (_, dtype, file):
            for start in range(0, self.total, size):
                rows = min(size, self.total - start)
                numbers = np.frombuffer(file.read(rows * self.dim * dtype.itemsize), dtype)
                with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is then named
                    block = numbers.reshape(rows, self.dim).astype(np.float32, copy=False)
                yield start, block

    def vectors(self, rows: Sequence[int]) -> FloatArray:
        """See `GalleryFile`."""
        return pick(rows, self.dim, (block for _, block in self.blocks()))

    def images(self, rows: Sequence[int]) -> list[GalleryImage]:
        """See `GalleryFile`."""
        with reading(self.path), np.load(self.path, allow_pickle=False) as arrays:
            labels = [None if name is None else arrays[name].reshape(-1) for name in self._labels]
        for name, values in zip(self._labels, labels, strict=True):
            if values is not None and len(values) != self.total:
                raise DataError(
                    f"{self.path} has {self.total:,} vectors in {self._name} and {len(values):,} values in {name}",
                    "each vector needs one of each",
                    "write the file again with as many labels as vectors",
                )
        paths, pids, camids, classes = labels
        wanted = np.asarray(rows, np.int64)
        named, of_class = (None if texts is None else texts[wanted].tolist() for texts in (paths, classes))
        return images_of(rows, named, pids, camids, of_class, self.path)

    @contextmanager
    def _stream(self) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], Any]]:
        """Shape and type of the vectors, and their bytes from the first on."""
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self._name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(file)
            if by_columns or dtype.kind not in "fiu":
                raise DataError(
                    f"the array {self._name} of {self.path} is {dtype}{', stored by columns' if by_columns else ''}",
                    "vectors are rows of real numbers",
                    "write numpy.ascontiguousarray(vectors, numpy.float32)",
                )
            yield shape, dtype, file
