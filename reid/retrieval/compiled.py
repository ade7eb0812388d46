"""The passes over a block of distances on a CPU, compiled by numba: each distance is read once, nothing is sorted.

The first call on a machine compiles for some seconds; the result is kept in numba's cache.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from reid.retrieval.embeddings import FloatArray, IntArray
from reid.retrieval.threads import in_threads

if TYPE_CHECKING:
    from reid.retrieval.blocks import BlockLabels, BlockRanks


def rank_rows(
    block: FloatArray, labels: BlockLabels, *, top_k: int, histogram: IntArray, bins_per_unit: float
) -> BlockRanks:
    """`blocks.rank_block` for a block float32 [b, G] in the memory of the host."""
    from reid.retrieval.blocks import BlockRanks

    queries = len(block)
    offsets, rows = labels.matches
    ranks = BlockRanks(
        ranks=np.empty(len(rows), np.int64),
        rows=rows.copy(),
        distances=np.empty(len(rows), np.float32),
        camera_ranks=np.empty(len(rows), np.int64),
        top_indices=np.full((queries, top_k), -1, np.int64),
        top_distances=np.full((queries, top_k), np.inf, np.float32),
        top_matches=np.zeros((queries, top_k), np.bool_),
    )
    camera = labels.camera_of_row.astype(np.int32)
    histograms: list[IntArray] = []

    def work(begin: int, end: int) -> None:
        own = np.zeros_like(histogram)
        _rank_rows(
            block,
            begin,
            end,
            offsets,
            *labels.excluded,
            labels.counted,
            camera,
            labels.num_cameras,
            own,
            np.float32(bins_per_unit),
            ranks.ranks,
            ranks.rows,
            ranks.distances,
            ranks.camera_ranks,
            ranks.top_indices,
            ranks.top_distances,
            ranks.top_matches,
        )
        histograms.append(own)

    in_threads(work, queries)
    histogram += np.sum(histograms, axis=0)
    return ranks


def add_squares(products: FloatArray, row_squares: FloatArray, column_squares: FloatArray) -> None:
    """Turns -2 q.g, float32 [b, G], into |q|^2 + |g|^2 - 2 q.g in place, clamped at zero against rounding."""
    in_threads(lambda begin, end: _add_squares(products, begin, end, row_squares, column_squares), len(products))


@njit(nogil=True, cache=True)
def _add_squares(products, begin, end, row_squares, column_squares):  # type: ignore[no-untyped-def]
    for i in range(begin, end):
        row, square = products[i], row_squares[i]
        for j in range(len(row)):
            row[j] = max(row[j] + square + column_squares[j], np.float32(0.0))


@njit(nogil=True, cache=True)
def insert(distances, indices, flags, distance, index, flag):  # type: ignore[no-untyped-def]
    """Puts an entry into lists [K] kept in order of distance, wrong before right, index; the last one drops out."""
    size = len(distances)
    at = size
    while at > 0:
        before = distances[at - 1]
        if before < distance or (
            before == distance and (flags[at - 1] < flag or (flags[at - 1] == flag and indices[at - 1] < index))
        ):
            break
        at -= 1
        if at + 1 < size:
            distances[at + 1], indices[at + 1], flags[at + 1] = before, indices[at], flags[at]
    if at < size:
        distances[at], indices[at], flags[at] = distance, index, flag


@njit(nogil=True, cache=True)
def _rank_rows(  # type: ignore[no-untyped-def]
    block,
    begin,
    end,
    offsets,
    excluded_offsets,
    excluded_rows,
    counted,
    camera,
    num_cameras,
    histogram,
    bins_per_unit,
    ranks,
    rows,
    distances,
    camera_ranks,
    top_indices,
    top_distances,
    top_matches,
):
    last = len(histogram) - 1
    for q in range(begin, end):
        row = block[q]
        for e in range(excluded_offsets[q], excluded_offsets[q + 1]):
            row[excluded_rows[e]] = math.inf
        first, stop = offsets[q], offsets[q + 1]
        for m in range(first, stop):  # insertion sort by distance; equal ones stay in the order of rows
            column = rows[m]
            distance = row[column]
            row[column] = math.inf
            at = m
            while at > first and distances[at - 1] > distance:
                distances[at], rows[at] = distances[at - 1], rows[at - 1]
                at -= 1
            distances[at], rows[at] = distance, column
        matches = distances[first:stop]
        count = stop - first
        found = np.zeros((num_cameras, count), np.int64)
        farthest = matches[count - 1] if count else np.float32(-1.0)
        kth = top_distances[q, -1]
        for column in range(len(row)):
            distance = row[column]
            if distance <= farthest:  # a wrong image stands before every match at least as far
                low, high = 0, count - 1
                while low < high:
                    middle = (low + high) // 2
                    if matches[middle] < distance:
                        low = middle + 1
                    else:
                        high = middle
                found[camera[column], low] += 1
            if distance < kth:
                insert(top_distances[q], top_indices[q], top_matches[q], distance, column, False)
                kth = top_distances[q, -1]
        if counted[q]:
            for column in range(len(row)):
                if row[column] < math.inf:
                    histogram[min(int(row[column] * bins_per_unit), last)] += 1
        for c in range(num_cameras):  # from "first met at this match" to "before this match"
            for s in range(1, count):
                found[c, s] += found[c, s - 1]
        for m in range(first, stop):
            distance, slot, own = distances[m], m - first, camera[rows[m]]
            if distance <= top_distances[q, -1]:
                insert(top_distances[q], top_indices[q], top_matches[q], distance, rows[m], True)
            ranks[m] = slot + 1
            for c in range(num_cameras):
                ranks[m] += found[c, slot]
            camera_ranks[m] = found[own, slot] + 1
            for other in range(first, m):
                camera_ranks[m] += camera[rows[other]] == own
