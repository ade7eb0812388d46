"""Gallery embeddings in a Parquet table, as `inference` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reid.errors import DataError
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.gallery_file import GalleryImage, Subset, no_vectors, reading
from reid.retrieval.search import BLOCK_ROWS

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_METADATA = b"reid"
"""Key of the schema's metadata under which `inference` notes checkpoint and preprocessing, as JSON."""


class ParquetGallery:
    """Column embedding (lists of numbers), and img_path, pid, camid, subset where they are there."""

    def __init__(self, path: Path, subset: Subset) -> None:
        self.path = path
        with self._open() as file:
            columns = file.schema_arrow.names
            if "embedding" not in columns:
                raise no_vectors(path, columns, "column embedding")
            noted = (file.schema_arrow.metadata or {}).get(_METADATA)
            self.metadata: dict[str, Any] = json.loads(noted) if noted else {}
            self.total: int = file.metadata.num_rows
            self.rows = np.arange(self.total, dtype=np.int64)
            if subset != "all" and "subset" in columns:
                import pyarrow.compute as pc

                self.rows = np.flatnonzero(pc.equal(file.read(["subset"]).column(0), subset).to_numpy())
            self.dim = next(self._batches(file, 1)).shape[1] if self.total else 0
        self._known = [name for name in ("img_path", "pid", "camid") if name in columns]

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """See `GalleryFile`."""
        first = 0
        for batch in self._all_batches():
            begin, end = np.searchsorted(self.rows, (first, first + len(batch))).tolist()
            if end - begin == len(batch):
                yield begin, batch
            elif end > begin:
                yield begin, batch[self.rows[begin:end] - first]
            first += len(batch)

    def vectors(self, rows: Sequence[int]) -> FloatArray:
        """See `GalleryFile`."""
        wanted, first = np.asarray(rows), 0
        found = np.empty((len(rows), self.dim), np.float32)
        for batch in self._all_batches():
            here = (wanted >= first) & (wanted < first + len(batch))
            found[here] = batch[wanted[here] - first]
            first += len(batch)
        return found

    def images(self, rows: Sequence[int]) -> list[GalleryImage]:
        """See `GalleryFile`."""
        with reading(self.path), self._open() as file:
            known = file.read(self._known).take(np.asarray(rows, np.int64)).to_pydict()
        columns = (known.get(name, [None] * len(rows)) for name in ("img_path", "pid", "camid"))
        return [GalleryImage(*values) for values in zip(*columns, strict=True)]

    def _open(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=2**20)  # never a whole row group in memory

    def _all_batches(self) -> Iterator[FloatArray]:
        with reading(self.path), self._open() as file:
            yield from self._batches(file, BLOCK_ROWS)

    def _batches(self, file: pq.ParquetFile, size: int) -> Iterator[FloatArray]:
        import pyarrow.compute as pc

        first = 0
        for batch in file.iter_batches(size, columns=["embedding"], use_threads=False):
            column = batch.column(0)
            lengths = pc.min_max(pc.list_value_length(column)).as_py()
            if column.null_count or lengths["min"] != lengths["max"] or not lengths["max"]:
                raise DataError(
                    f"{self.path} has rows from {first:,} to {first + len(batch) - 1:,} whose embeddings are missing "
                    f"or have between {lengths['min']} and {lengths['max']} numbers",
                    "a distance needs vectors of one dimension",
                    "write the file again with inference",
                )
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            yield numbers.reshape(len(column), -1).astype(np.float32, copy=False)
            first += len(batch)
