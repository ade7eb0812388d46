"""The nearest k gallery images of each query, exact, from a gallery that streams by in blocks.

Each query keeps a heap of its k nearest so far, whose root, the k-th distance, is the bar that the next image must
pass; nothing is sorted but the k that are left. Memory grows with Q x k and the size of a block, not with the gallery.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from reid.errors import DataError
from reid.kernels import kernel
from reid.retrieval.embeddings import FloatArray, IntArray, normalise
from reid.retrieval.threads import in_threads

Blocks = Iterable[tuple[int, FloatArray]]
"""Number of the first row, and the vectors float32 [b, D] of that and the following rows; in the order of rows."""

SEARCH_DISTANCE = "euclidean_l2_normalised"
"""The distance of `nearest` with `l2_normalise`, as rankings name it."""

BLOCK_ROWS = 16_384
"""Rows of a block when memory allows: more gains nothing once the products run at full speed."""

_PRODUCTS = 2**24  # numbers in one block of query x gallery products, likewise
_SHARE = 4  # part of the memory for products; another for each of a block read, one ahead of it, and its decoding


def nearest(
    query: FloatArray, gallery: Blocks, k: int, *, l2_normalise: bool = True, memory_bytes: int = 2**30
) -> tuple[FloatArray, IntArray]:
    """Squared Euclidean distances and row numbers of each query's nearest k, by distance, then row.

    Args:
        query: float32 [Q, D].
        gallery: the vectors, at least k of them.
        k: how many, at least 1.
        l2_normalise: scale both sides to unit length first; distances are then 2 - 2 cos, in [0, 4].
        memory_bytes: working memory beside the query, the result and the reader of the gallery, which has its own
            share of it when its blocks are of `block_rows`.

    Returns:
        float32 [Q, k], ascending, and int64 [Q, k].

    Raises:
        DataError: there are fewer than k images, the dimensions differ, or a vector of either side has no direction or
            no value; its row is named.
    """
    checked_squares(query, side="query", l2_normalise=l2_normalise)
    query = normalise(query) if l2_normalise else np.ascontiguousarray(query, np.float32)
    heaps = _Heaps(len(query), k, min(_PRODUCTS, memory_bytes // _SHARE // 4))
    seen = 0
    for start, block in gallery:
        if block.shape[1] != query.shape[1]:
            raise other_dimension(query.shape[1], block.shape[1])
        squares = checked_squares(block, first_row=start, l2_normalise=l2_normalise)
        if l2_normalise:
            bias, factor = np.ones_like(squares), (-2 / np.sqrt(squares)).astype(np.float32, copy=False)
        else:
            bias, factor = squares, np.full_like(squares, -2)
        heaps.add(query, block, start, bias, factor)
        seen += len(block)
    if seen < k:
        raise too_few(k, seen)
    return heaps.in_order(np.einsum("qd,qd->q", query, query))


def block_rows(dim: int, memory_bytes: int) -> int:
    """Rows of a gallery block of dimension `dim` that keep a search within its working memory.

    Raises:
        DataError: not even one row fits.
    """
    rows = memory_bytes // _SHARE // (4 * dim)
    if rows < 1:
        raise DataError(
            f"a working memory of {memory_bytes / 1e9:.3g} GB for vectors of {dim:,} numbers",
            "not even one of them fits",
            "give more with --memory-gb",
        )
    return min(BLOCK_ROWS, rows)


def checked_squares(block: FloatArray, *, l2_normalise: bool, side: str = "gallery", first_row: int = 0) -> FloatArray:
    """Squared lengths float32 [b] of the rows of a block.

    Args:
        block: float32 [b, D].
        l2_normalise: rows will be divided by their lengths.
        side: "query" or "gallery", for messages, as is the next.
        first_row: number of the block's first row.

    Raises:
        DataError: a row holds NaN or infinite numbers, or would be normalised and has a squared length of zero.
    """
    squares: FloatArray = np.einsum("nd,nd->n", block, block)
    bad = ~np.isfinite(squares)
    if bad.any():
        raise DataError(
            f"the {side} vector of row {first_row + int(bad.argmax())} holds NaN, infinite or huge numbers",
            "a distance to such a vector has no value",
            "embed the images again, and look for a diverged training or a half-precision overflow",
        )
    if l2_normalise and not squares.all():
        raise DataError(
            f"the {side} vector of row {first_row + int(squares.argmin())} is all zero, or too small to be squared",
            "such a vector has no direction, so it cannot be L2-normalised",
            "look for a dead network or blank images, and embed again",
        )
    return squares


def other_dimension(query: int, gallery: int) -> DataError:
    """The error of vectors that cannot be compared."""
    return DataError(
        f"query embeddings have {query} numbers, gallery embeddings {gallery}",
        "a distance needs vectors of one dimension",
        "search with the checkpoint that embedded the gallery",
    )


def too_few(k: int, gallery: int) -> DataError:
    """The error of a gallery smaller than what is asked of it; `gallery` does not count the query's own row."""
    if gallery < 1:
        return DataError(
            f"the nearest {k} are asked of a gallery that holds no image but the query's own row",
            "a row does not find itself",
            "search a gallery of other images, or all rows of the file with --subset all",
        )
    return DataError(
        f"the nearest {k} are asked of a gallery of {gallery} {'image' if gallery == 1 else 'images'}",
        "there are not that many",
        f"ask for {gallery} or fewer with --top-k",
    )


class _Heaps:
    """For each query its nearest k so far as a max-heap by (distance, row); the query's own square is not yet in."""

    def __init__(self, queries: int, k: int, products: int) -> None:
        self._products = products
        self._distances = np.full((queries, k), np.inf, np.float32)
        self._rows = np.full((queries, k), -1, np.int64)

    def add(self, query: FloatArray, block: FloatArray, start: int, bias: FloatArray, factor: FloatArray) -> None:
        """Offers rows `start`, `start` + 1, ... at distances bias + factor * product; [b] each."""
        step = max(1, self._products // len(block))
        for first in range(0, len(query), step):
            part = slice(first, first + step)
            products = query[part] @ block.T  # [s, D] [D, b] -> [s, b]
            work = partial(_offer, products, bias, factor, start, self._distances[part], self._rows[part])
            in_threads(work, len(products))

    def in_order(self, query_squares: FloatArray) -> tuple[FloatArray, IntArray]:
        """Distances [Q, k], no longer without the queries' squares, and rows [Q, k]."""
        distances = np.maximum(self._distances + query_squares[:, None], 0)  # [Q, k] + [Q, 1] -> [Q, k]
        order = np.lexsort((self._rows, distances), axis=1)
        return np.take_along_axis(distances, order, 1), np.take_along_axis(self._rows, order, 1)


@kernel()
def _offer(products, bias, factor, start, distances, rows, begin, end):  # type: ignore[no-untyped-def]
    for q in range(begin, end):
        kth = distances[q, 0]
        for column in range(products.shape[1]):
            distance = bias[column] + factor[column] * products[q, column]
            if distance < kth:  # rows come in order: of equal distances the earlier row is in already
                _replace_root(distances[q], rows[q], distance, start + column)
                kth = distances[q, 0]


@kernel()
def _replace_root(distances, rows, distance, row):  # type: ignore[no-untyped-def]
    size, at = len(distances), 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            distances[right] > distances[child] or (distances[right] == distances[child] and rows[right] > rows[child])
        ):
            child = right
        if distances[child] < distance or (distances[child] == distance and rows[child] < row):
            break
        distances[at], rows[at] = distances[child], rows[child]
        at = child
    distances[at], rows[at] = distance, row
