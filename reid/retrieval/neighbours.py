"""The nearest points of each point of one set, exact, by blocks; each pair of points is multiplied once."""

from __future__ import annotations

from typing import Any

import numpy as np

from reid.kernels import kernel
from reid.retrieval.blocks import block_rows
from reid.retrieval.compiled import insert
from reid.retrieval.embeddings import FloatArray, IndexArray
from reid.retrieval.products import HostProducts, minus_two_products
from reid.retrieval.threads import in_threads

_CHUNK = 64  # distances looked at together: most chunks hold nothing nearer than what is kept


def nearest_among(vectors: FloatArray, count: int, *, device: str, memory_bytes: int) -> tuple[IndexArray, FloatArray]:
    """Nearest points of each point, and the distance of its farthest.

    Args:
        vectors: float32 [N, D].
        count: neighbours kept, at most N; the first is normally the point itself.
        device: where the products are computed, as torch names it.
        memory_bytes: working memory of one block of distances.

    Returns:
        int32 [N, count], nearest first, on the CPU equal ones by index; float32 [N], squared Euclidean, above 0.

    Raises:
        DataError: not even one point's distances fit the memory.
    """
    total = len(vectors)
    if device == "cpu":
        rows = block_rows(total, total, memory_bytes, bytes_per_pair=HostProducts.bytes_per_pair)
        indices, largest = _on_host(vectors, count, rows)
    else:
        from reid.retrieval.tensors import TensorProducts

        rows = block_rows(total, total, memory_bytes, bytes_per_pair=TensorProducts.bytes_per_pair)
        indices, largest = TensorProducts(vectors, vectors, device).nearest(count, rows)
    return indices, np.maximum(largest, np.finfo(np.float32).tiny)


def _on_host(vectors: FloatArray, count: int, rows: int) -> tuple[IndexArray, FloatArray]:
    """By blocks of the upper triangle: a block serves its rows, and by its columns the points that come after them.

    What is compared for a point p is |q|^2 - 2 p.q: its own square changes no order and is added at the end. Points are
    met in ascending order, so that equal distances stay in the order of indices.
    """
    total = len(vectors)
    squares = np.einsum("nd,nd->n", vectors, vectors)
    indices, distances = np.full((total, count), -1, np.int32), np.full((total, count), np.inf, np.float32)
    largest = np.full(total, -np.inf, np.float32)
    for start in range(0, total, rows):
        stop = min(start + rows, total)
        block = minus_two_products(vectors[start:stop], vectors[start:])  # [b, N - start]
        _in_parts(_serve_rows, block, start, squares, indices, distances, largest, count=stop - start)
        _in_parts(_serve_columns, block, start, squares, indices, distances, largest, count=total - stop)
        del block  # the next one is made while the name would still hold this
    return indices, np.maximum(largest + squares, np.float32(0.0))


def _in_parts(kernel: Any, *arguments: Any, count: int) -> None:
    if count:
        in_threads(lambda begin, end: kernel(begin, end, *arguments), count)


@kernel(fastmath={"nnan", "nsz", "reassoc"})
def _extremes(row, squares, begin, end):  # type: ignore[no-untyped-def]
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for j in range(begin, end):
        value = row[j] + squares[j]
        low, high = min(low, value), max(high, value)
    return low, high


@kernel()
def _serve_rows(begin, end, block, start, squares, indices, distances, largest):  # type: ignore[no-untyped-def]
    size, flags = block.shape[1], np.zeros(indices.shape[1], np.bool_)
    others = squares[start:]
    for i in range(begin, end):
        row, own = block[i], start + i
        for first in range(0, size, _CHUNK):
            last = min(first + _CHUNK, size)
            low, high = _extremes(row, others, first, last)
            largest[own] = max(largest[own], high)
            if low < distances[own, -1]:
                for j in range(first, last):
                    value = row[j] + others[j]
                    if value < distances[own, -1]:
                        insert(distances[own], indices[own], flags, value, start + j, False)


@kernel(fastmath={"nnan", "nsz", "reassoc"})
def _note_extremes(row, square, kept, largest, begin, end):  # type: ignore[no-untyped-def]
    nearer = 0
    for j in range(begin, end):
        value = row[j] + square
        largest[j] = max(largest[j], value)
        nearer += value < kept[j]
    return nearer


@kernel()
def _serve_columns(begin, end, block, start, squares, indices, distances, largest):  # type: ignore[no-untyped-def]
    rows, flags = len(block), np.zeros(indices.shape[1], np.bool_)
    offset = start + rows + begin  # the first point served here
    kept, far = distances[offset : start + rows + end, -1].copy(), largest[offset : start + rows + end]
    size = end - begin
    for i in range(rows):
        row, square = block[i, rows + begin : rows + end], squares[start + i]
        for first in range(0, size, _CHUNK):
            last = min(first + _CHUNK, size)
            if _note_extremes(row, square, kept, far, first, last):
                for j in range(first, last):
                    value = row[j] + square
                    if value < kept[j]:
                        insert(distances[offset + j], indices[offset + j], flags, value, start + i, False)
                        kept[j] = distances[offset + j, -1]
