"""The sparse steps of k-reciprocal re-ranking, compiled by numba; `rerank.py` says what they are for.

Each step runs over the points in threads, counts what it will write, and then writes it into arrays of the right size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reid.kernels import kernel
from reid.retrieval.embeddings import FloatArray, IndexArray, IntArray
from reid.retrieval.threads import in_threads


@dataclass(frozen=True)
class SparseRows:
    """Rows of (column, weight), CSR.

    Attributes:
        offsets: int64 [N + 1].
        columns: int32 [nnz], ascending in each row.
        weights: float32 [nnz].
    """

    offsets: IntArray
    columns: IndexArray
    weights: FloatArray


def reciprocal_weights(vectors: FloatArray, neighbours: IndexArray, largest: FloatArray, *, k1: int) -> SparseRows:
    """Weights of each point's expanded k-reciprocal set (equations 3, 4 and 7); each row sums to 1.

    A member's own half-size set joins when more than two thirds of it lie in the point's set. A member's weight falls
    with its distance, exp(-distance / largest distance of the point).

    Args:
        vectors: float32 [N, D].
        neighbours: int32 [N, K >= k1 + 1], nearest first.
        largest: float32 [N], the largest distance of each point.
        k1: neighbours in the sets.
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    whole, half = min(k1 + 1, neighbours.shape[1]), min(round(k1 / 2) + 1, neighbours.shape[1])
    counts = np.zeros(len(vectors) + 1, np.int64)
    nothing = SparseRows(counts, np.empty(0, np.int32), np.empty(0, np.float32))

    def step(rows: SparseRows, fill: bool) -> None:
        in_threads(
            lambda begin, end: _reciprocal(
                neighbours, whole, half, vectors, squares, largest, begin, end,
                rows.offsets, rows.columns, rows.weights, fill,
            ),
            len(vectors),
        )  # fmt: skip

    step(nothing, False)
    rows = _sized(counts)
    step(rows, True)
    return rows


def expand(rows: SparseRows, neighbours: IndexArray) -> SparseRows:
    """Local query expansion: each row becomes the mean of its nearest neighbours' rows (equation 11).

    Args:
        rows: of N points.
        neighbours: int32 [N, k2], nearest first.
    """
    counts = np.zeros(len(neighbours) + 1, np.int64)

    def step(out: SparseRows, fill: bool) -> None:
        in_threads(
            lambda begin, end: _expand(
                rows.offsets, rows.columns, rows.weights, neighbours, begin, end,
                out.offsets, out.columns, out.weights, fill,
            ),
            len(neighbours),
        )  # fmt: skip

    step(SparseRows(counts, np.empty(0, np.int32), np.empty(0, np.float32)), False)
    out = _sized(counts)
    step(out, True)
    return out


def by_column(rows: SparseRows, *, first_row: int) -> SparseRows:
    """For each column the rows from `first_row` on, counted from there, that have a weight in it."""
    total, begin = len(rows.offsets) - 1, rows.offsets[first_row]
    counts = np.bincount(rows.columns[begin:], minlength=total)
    out = _sized(np.concatenate([np.zeros(1, np.int64), counts]))
    _fill_columns(rows.offsets, rows.columns, rows.weights, first_row, out.offsets, out.columns, out.weights)
    return out


def mix_with_overlap(
    block: FloatArray, scale: FloatArray, jaccard: float, rows: SparseRows, start: int, columns: SparseRows
) -> None:
    """Turns distances into the mixture with the Jaccard distance, in place: d * scale + jaccard * (1 - overlap).

    The overlap of two points is the sum of minima over the sum of maxima of their weights. As each row of weights sums
    to 1, the sum of maxima is 2 minus the sum of minima.

    Args:
        block: float32 [b, G], distances of b points to the gallery.
        scale: float32 [b].
        jaccard: weight of the Jaccard distance.
        rows: weights of all points.
        start: the point of the block's first row.
        columns: weights of the gallery, by column.
    """
    in_threads(
        lambda begin, end: _mix(
            block, begin, end, scale, np.float32(jaccard), start, rows.offsets, rows.columns, rows.weights,
            columns.offsets, columns.columns, columns.weights,
        ),
        len(block),
    )  # fmt: skip


def _sized(counts: IntArray) -> SparseRows:
    """Room for rows whose sizes stand in counts[1:]."""
    offsets = np.cumsum(counts)
    return SparseRows(offsets, np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32))


@kernel()
def _among(row, wanted, count):  # type: ignore[no-untyped-def]
    for a in range(count):  # noqa: SIM110
        if row[a] == wanted:
            return True
    return False


@kernel(fastmath={"reassoc", "contract"})
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = np.float32(0.0)
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@kernel()
def _reciprocal(  # type: ignore[no-untyped-def]
    neighbours, whole, half, vectors, squares, largest, begin, end, offsets, columns, weights, fill
):
    total = len(neighbours)
    in_set, in_expanded = np.full(total, -1, np.int64), np.full(total, -1, np.int64)
    base, friends = np.empty(whole, np.int32), np.empty(half, np.int32)
    members = np.empty(whole * (half + 1), np.int32)
    for point in range(begin, end):
        size = 0
        for a in range(whole):
            other = neighbours[point, a]
            if _among(neighbours[other], point, whole):
                base[size], members[size] = other, other
                in_set[other], in_expanded[other] = point, point
                size += 1
        count = size
        for a in range(size):
            candidate = base[a]
            found, shared = 0, 0
            for b in range(half):
                friend = neighbours[candidate, b]
                if _among(neighbours[friend], candidate, half):
                    friends[found] = friend
                    found += 1
                    shared += in_set[friend] == point
            if shared * 3 > found * 2:
                for b in range(found):
                    if in_expanded[friends[b]] != point:
                        in_expanded[friends[b]] = point
                        members[count] = friends[b]
                        count += 1
        if not fill:
            offsets[point + 1] = count
            continue
        at, sum_of_weights = offsets[point], 0.0
        columns[at : at + count] = np.sort(members[:count])
        for e in range(at, at + count):
            other = columns[e]
            product = _dot(vectors[point], vectors[other])
            distance = max(squares[point] + squares[other] - 2 * product, np.float32(0.0))
            weights[e] = math.exp(-distance / largest[point])
            sum_of_weights += weights[e]
        for e in range(at, at + count):
            weights[e] /= sum_of_weights


@kernel()
def _expand(  # type: ignore[no-untyped-def]
    in_offsets, in_columns, in_weights, neighbours, begin, end, offsets, columns, weights, fill
):
    total, k2 = neighbours.shape
    seen, sums = np.full(total, -1, np.int64), np.zeros(total, np.float64)
    touched = np.empty(total, np.int32)
    for point in range(begin, end):
        count = 0
        for a in range(k2):
            other = neighbours[point, a]
            for e in range(in_offsets[other], in_offsets[other + 1]):
                column = in_columns[e]
                if seen[column] != point:
                    seen[column] = point
                    sums[column] = 0.0
                    touched[count] = column
                    count += 1
                sums[column] += in_weights[e]
        if not fill:
            offsets[point + 1] = count
            continue
        at = offsets[point]
        columns[at : at + count] = np.sort(touched[:count])
        for e in range(at, at + count):
            weights[e] = sums[columns[e]] / k2


@kernel()
def _fill_columns(in_offsets, in_columns, in_weights, first_row, offsets, columns, weights):  # type: ignore[no-untyped-def]
    at = offsets[:-1].copy()
    for row in range(first_row, len(in_offsets) - 1):
        for e in range(in_offsets[row], in_offsets[row + 1]):
            column = in_columns[e]
            columns[at[column]], weights[at[column]] = row - first_row, in_weights[e]
            at[column] += 1


@kernel()
def _mix(  # type: ignore[no-untyped-def]
    block, begin, end, scale, jaccard, start, offsets, columns, weights, by_offsets, by_rows, by_weights
):
    size = block.shape[1]
    minima, touched = np.zeros(size, np.float32), np.empty(size, np.int32)
    for i in range(begin, end):
        row, factor = block[i], scale[i]
        for g in range(size):
            row[g] = row[g] * factor + jaccard
        count = 0
        for e in range(offsets[start + i], offsets[start + i + 1]):
            weight = weights[e]
            for f in range(by_offsets[columns[e]], by_offsets[columns[e] + 1]):
                g = by_rows[f]
                if minima[g] == 0.0:
                    touched[count] = g
                    count += 1
                minima[g] += min(weight, by_weights[f])
        for t in range(count):
            g = touched[t]
            row[g] = max(row[g] - jaccard * minima[g] / (np.float32(2.0) - minima[g]), np.float32(0.0))
            minima[g] = 0.0
