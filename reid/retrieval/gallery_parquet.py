"""Gallery embeddings in a Parquet table, as `inference` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid.errors import DataError
from reid.retrieval.columns import CAMIDS, CLASSES, PATHS, PIDS, SUBSETS, first, vectors_in
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.file_formats import METADATA
from reid.retrieval.gallery_file import GalleryImage, Subset, images_of, no_sides, pick, reading
from reid.retrieval.search import BLOCK_ROWS

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class ParquetGallery:
    """A column of vectors (lists of numbers); paths, identities, cameras, classes and subsets where they are there."""

    def __init__(self, path: Path, subset: Subset) -> None:
        self.path = path
        with self._open() as file:
            found = tuple(file.schema_arrow.names)
            self._vectors = vectors_in(found, path)
            self._labels = [first(found, names) for names in (PATHS, PIDS, CAMIDS, CLASSES)]
            self.metadata: dict[str, Any] = json.loads((file.schema_arrow.metadata or {}).get(METADATA, b"{}"))
            self.total: int = file.metadata.num_rows
            self.rows = np.arange(self.total, dtype=np.int64)
            subsets = first(found, SUBSETS)
            if subset == "query" and not subsets:
                raise no_sides(path)
            if subset != "all" and subsets:
                import pyarrow.compute as pc

                self.rows = np.flatnonzero(pc.equal(file.read([subsets]).column(0), subset).to_numpy())
            self.dim = next(self._batches(file, 1)).shape[1] if self.total else 0

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """See `GalleryFile`."""
        start = 0
        for batch in self._all_batches(size):
            begin, end = np.searchsorted(self.rows, (start, start + len(batch))).tolist()
            if end - begin == len(batch):
                yield begin, batch
            elif end > begin:
                yield begin, batch[self.rows[begin:end] - start]
            start += len(batch)

    def vectors(self, rows: Sequence[int]) -> FloatArray:
        """See `GalleryFile`."""
        return pick(rows, self.dim, self._all_batches(BLOCK_ROWS))

    def images(self, rows: Sequence[int]) -> list[GalleryImage]:
        """See `GalleryFile`."""
        with reading(self.path), self._open() as file:
            table = file.read([name for name in self._labels if name])
        paths, pids, camids, classes = (table[name] if name else None for name in self._labels)
        wanted = np.asarray(rows, np.int64)
        return images_of(
            rows,
            None if paths is None else paths.take(wanted).to_pylist(),
            None if pids is None else pids.to_numpy(),
            None if camids is None else camids.to_numpy(),
            None if classes is None else classes.take(wanted).to_pylist(),
            self.path,
        )

    def _open(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=2**20)  # never a whole row group in memory

    def _all_batches(self, size: int) -> Iterator[FloatArray]:
        with reading(self.path), self._open() as file:
            yield from self._batches(file, size)

    def _batches(self, file: pq.ParquetFile, size: int) -> Iterator[FloatArray]:
        import pyarrow.compute as pc

        start = 0
        for batch in file.iter_batches(size, columns=[self._vectors], use_threads=False):
            column = batch.column(0)
            lengths = pc.min_max(pc.list_value_length(column)).as_py()
            if column.null_count or lengths["min"] != lengths["max"] or not lengths["max"]:
                raise DataError(
                    f"{self.path} has rows from {start:,} to {start + len(batch) - 1:,} whose embeddings are missing "
                    f"or have between {lengths['min']} and {lengths['max']} numbers",
                    "a distance needs vectors of one dimension",
                    "write the file again with inference",
                )
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            yield numbers.reshape(len(column), -1).astype(np.float32, copy=False)
            start += len(batch)
