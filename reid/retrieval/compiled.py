"""The pass over a block of distances on a CPU, compiled by numba: each distance is read once, nothing is sorted.

The first call on a machine compiles for some seconds; the result is kept in numba's cache.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit

from reid.retrieval.counting import BlockLabels
from reid.retrieval.embeddings import FloatArray, IntArray


def rank_rows(
    block: FloatArray, labels: BlockLabels, top_k: int, histogram: IntArray, bins_per_unit: float
) -> tuple[Any, ...]:
    """What `counting.rank_block` returns, field by field, for a block float32 [b, G] that is written into."""
    queries, top_k = len(block), max(top_k, 1)
    offsets, rows = labels.matches
    excluded_offsets, excluded_rows = labels.excluded
    camera = labels.camera_of_row.astype(np.int32)
    out = (
        np.empty(len(rows), np.int64),
        rows.copy(),
        np.empty(len(rows), np.float32),
        np.empty(len(rows), np.int64),
        np.full((queries, top_k), -1, np.int64),
        np.full((queries, top_k), np.inf, np.float32),
        np.zeros((queries, top_k), np.bool_),
    )
    parts = split(queries)
    histograms = np.zeros((len(parts), len(histogram)), np.int64)

    def work(part: int) -> None:
        begin, end = parts[part]
        _rank_rows(
            block,
            begin,
            end,
            offsets,
            excluded_offsets,
            excluded_rows,
            labels.counted,
            camera,
            labels.num_cameras,
            histograms[part],
            np.float32(bins_per_unit),
            *out,
        )

    in_threads(work, len(parts))
    histogram += histograms.sum(axis=0)
    return out


def split(rows: int) -> list[tuple[int, int]]:
    """Begin and end of the rows that each thread takes; as many threads as torch uses."""
    edges = np.linspace(0, rows, min(torch.get_num_threads(), rows) + 1).astype(int).tolist()
    return list(itertools.pairwise(edges))


def in_threads(work: Any, parts: int) -> None:
    """Calls work(0) to work(parts - 1), each in a thread of its own; compiled functions here hold no lock."""
    if parts == 1:
        work(0)
        return
    with ThreadPoolExecutor(parts) as pool:
        for _ in pool.map(work, range(parts)):
            pass


@njit(nogil=True, cache=True)
def insert(distances, indices, flags, distance, index, flag) -> None:  # type: ignore[no-untyped-def]
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
        found = np.zeros((num_cameras, count + 1), np.int64)
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
        for m in range(first, stop):
            distance, slot, own = distances[m], m - first, camera[rows[m]]
            if distance <= top_distances[q, -1]:
                insert(top_distances[q], top_indices[q], top_matches[q], distance, rows[m], True)
            wrong = 0
            for c in range(num_cameras):
                for s in range(slot + 1):
                    wrong += found[c, s]
            ranks[m] = wrong + slot + 1
            before = 1
            for s in range(slot + 1):
                before += found[own, s]
            for other in range(first, m):
                before += camera[rows[other]] == own
            camera_ranks[m] = before
