"""The passes over a block of distances on a CPU, compiled by numba: each distance is read once, nothing is sorted.

The first call on a machine compiles for some seconds; the result is kept in numba's cache.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reid.kernels import kernel
from reid.retrieval.embeddings import FloatArray, IntArray
from reid.retrieval.threads import in_threads

if TYPE_CHECKING:
    from reid.retrieval.blocks import BlockLabels, BlockRanks


_LARGEST_TABLE = 4096  # cells, which stay in the fastest cache


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


@kernel()
def _add_squares(products, begin, end, row_squares, column_squares):  # type: ignore[no-untyped-def]
    for i in range(begin, end):
        row, square = products[i], row_squares[i]
        for j in range(len(row)):
            row[j] = max(row[j] + square + column_squares[j], np.float32(0.0))


@kernel()
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


@kernel()
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
    own_list = np.full(num_cameras, -1, np.int64)  # number of a camera among those of the query's matches
    for q in range(begin, end):
        row = block[q]
        for e in range(excluded_offsets[q], excluded_offsets[q + 1]):
            row[excluded_rows[e]] = math.inf
        first, stop = offsets[q], offsets[q + 1]
        count = stop - first
        _sort_matches(row, rows[first:stop], distances[first:stop])
        matches = distances[first:stop]
        starts, place, in_camera = _by_camera(rows[first:stop], matches, camera, own_list)
        table = _next_in_camera(rows[first:stop], camera, own_list, starts)
        before, before_in_camera = np.zeros(count, np.int64), np.zeros(count, np.int64)
        farthest = matches[count - 1] if count else np.float32(-1.0)
        kth = top_distances[q, -1]
        for column in range(len(row)):
            distance = row[column]
            if distance <= farthest:  # a wrong image stands before every match at least as far
                slot, own = _first_as_far(matches, 0, count, distance), own_list[camera[column]]
                before[slot] += 1
                if own >= 0:
                    if len(table):
                        at = table[own, slot]
                    else:
                        at = _first_as_far(in_camera, starts[own], starts[own + 1], distance)
                    if at < starts[own + 1]:
                        before_in_camera[at] += 1
            if distance < kth:
                insert(top_distances[q], top_indices[q], top_matches[q], distance, column, False)
                kth = top_distances[q, -1]
        if counted[q]:
            for column in range(len(row)):
                if row[column] < math.inf:
                    histogram[min(int(row[column] * bins_per_unit), last)] += 1
        for own in range(len(starts) - 1):  # from "first met at this match" to "before this match", itself included
            total = 0
            for at in range(starts[own], starts[own + 1]):
                total += before_in_camera[at] + 1
                before_in_camera[at] = total
        total = 0
        for m in range(count):
            total += before[m] + 1
            ranks[first + m] = total
            camera_ranks[first + m] = before_in_camera[place[m]]
            if matches[m] <= top_distances[q, -1]:
                insert(top_distances[q], top_indices[q], top_matches[q], matches[m], rows[first + m], True)
        for m in range(count):
            own_list[camera[rows[first + m]]] = -1


@kernel()
def _sort_matches(row, columns, distances):  # type: ignore[no-untyped-def]
    """Takes the matches out of a row of distances; `columns` and `distances` [R] by distance, equal ones as given."""
    for m in range(len(columns)):
        distances[m] = row[columns[m]]
        row[columns[m]] = math.inf
    order = np.argsort(distances, kind="mergesort")
    distances[:], columns[:] = distances[order], columns[order]


@kernel()
def _by_camera(columns, distances, camera, own_list):  # type: ignore[no-untyped-def]
    """Parts the sorted matches [R] by camera, numbering the cameras met in `own_list`.

    Returns where each camera's part begins [C + 1], the place of each match in the parts [R], and their distances [R].
    """
    count, met = len(columns), 0
    sizes = np.zeros(count + 1, np.int64)
    for m in range(count):
        c = camera[columns[m]]
        if own_list[c] < 0:
            own_list[c] = met
            met += 1
        sizes[own_list[c] + 1] += 1
    starts = np.cumsum(sizes[: met + 1])
    free, place, parted = starts.copy(), np.empty(count, np.int64), np.empty(count, np.float32)
    for m in range(count):
        own = own_list[camera[columns[m]]]
        place[m] = free[own]
        parted[free[own]] = distances[m]
        free[own] += 1
    return starts, place, parted


@kernel()
def _next_in_camera(columns, camera, own_list, starts):  # type: ignore[no-untyped-def]
    """For each camera and match [C, R], the place in the camera's part of its first match that is not before that one.

    Empty where it would be large, since to search costs less then.
    """
    cameras, count = len(starts) - 1, len(columns)
    if cameras * count > _LARGEST_TABLE:
        return np.empty((0, 0), np.int64)
    table, place = np.empty((cameras, count), np.int64), starts[:-1].copy()
    for m in range(count):
        table[:, m] = place
        place[own_list[camera[columns[m]]]] += 1
    return table


@kernel()
def _first_as_far(distances, low, high, distance):  # type: ignore[no-untyped-def]
    """Position in the sorted distances[low:high] of the first that is at least as far; `high` where none is."""
    while low < high:
        middle = (low + high) // 2
        if distances[middle] < distance:
            low = middle + 1
        else:
            high = middle
    return low
