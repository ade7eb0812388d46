"""Distances and ranks of a block by tensor operations: for devices that torch drives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reid.retrieval.blocks import BlockLabels, BlockRanks, Lists
from reid.retrieval.embeddings import FloatArray, IntArray

_LARGEST_TABLE = 2**24  # cells of a table of queries, cameras and matches


class TensorProducts:
    """Squared Euclidean distances of float32 [Q, D] and [G, D] on a device; see `products.HostProducts`."""

    bytes_per_pair = 40  # distances, search positions (int64) and their flat copies

    def __init__(self, query: FloatArray, gallery: FloatArray, device: str) -> None:
        self.device = torch.device(device)
        self._query, self._gallery = (torch.from_numpy(side).to(self.device) for side in (query, gallery))
        self._query_squares = self._query.square().sum(dim=1)  # [Q]
        self._gallery_squares = self._gallery.square().sum(dim=1)  # [G]

    def rows(self, start: int, stop: int) -> Tensor:
        """float32 [stop - start, G]."""
        block = torch.addmm(
            self._gallery_squares[None, :], self._query[start:stop], self._gallery.T, alpha=-2.0
        )  # [1, G] - 2 [b, D] [D, G] -> [b, G]
        return block.add_(self._query_squares[start:stop, None]).clamp_(min=0.0)

    def nearest(self, count: int, rows: int) -> tuple[npt.NDArray[np.int32], FloatArray]:
        """`neighbours.nearest_among` in blocks of some rows; equal distances in no certain order."""
        indices, largest = [], []
        for start in range(0, len(self._query), rows):
            block = self.rows(start, min(start + rows, len(self._query)))
            indices.append(block.topk(count, dim=1, largest=False).indices.to(torch.int32).cpu().numpy())
            largest.append(block.amax(dim=1).cpu().numpy())
        return np.concatenate(indices), np.concatenate(largest)


def scale_and_add(block: Tensor, scale: FloatArray, rest: FloatArray) -> Tensor:
    """block float32 [b, G] * scale [b] + rest [b, G], in place."""
    scale_there, rest_there = (torch.from_numpy(part).to(block.device) for part in (scale, rest))
    return block.mul_(scale_there[:, None]).add_(rest_there)


def rank_rows(
    block: Tensor, labels: BlockLabels, *, top_k: int, histogram: IntArray, bins_per_unit: float
) -> BlockRanks:
    """`blocks.rank_block` for a block float32 [b, G] on any of torch's devices."""
    device = block.device
    offsets, rows = labels.matches
    at, out = _positions(labels.matches, device), _positions(labels.excluded, device)
    block[out] = torch.inf
    distances = block[at].cpu().numpy()
    order = np.lexsort((distances, at[0].cpu().numpy()))  # stable: equal distances stay in the order of rows
    distances, rows = distances[order], rows[order]
    is_match = torch.zeros_like(block, dtype=torch.bool)
    is_match[at] = True
    top_distances, top_indices, top_matches = (part.cpu().numpy() for part in _nearest(block, is_match, top_k))
    block[at] = torch.inf  # what is left are the wrong answers
    _add_to_histogram(block[torch.from_numpy(labels.counted).to(device)], histogram, bins_per_unit)
    wrong, wrong_in_camera = _wrong_before(block, distances, offsets, rows, labels)
    nth, nth_in_camera = _ordinals(offsets, labels.camera_of_row[rows], labels.num_cameras)
    return BlockRanks(
        ranks=wrong + nth,
        rows=rows,
        distances=distances,
        camera_ranks=wrong_in_camera + nth_in_camera,
        top_indices=np.where(np.isinf(top_distances), -1, top_indices),
        top_distances=top_distances,
        top_matches=top_matches,
    )


def _positions(lists: Lists, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of each entry in the block."""
    offsets, columns = lists
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)


def _wrong_before(
    block: Tensor, distances: FloatArray, offsets: IntArray, rows: IntArray, labels: BlockLabels
) -> tuple[IntArray, IntArray]:
    """For each match the wrong images at most as far: in the whole gallery, and under the match's own camera."""
    counts = np.diff(offsets)
    most = int(counts.max(initial=0))
    if most == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    at_once = max(1, _LARGEST_TABLE // (labels.num_cameras * (most + 1)))
    if at_once < len(block):  # many cameras, or very many matches
        parts = []
        for start in range(0, len(block), at_once):
            bounds = offsets[start : start + at_once + 1]
            own = slice(bounds[0], bounds[-1])
            part = block[start : start + at_once]
            parts.append(_wrong_before(part, distances[own], bounds - bounds[0], rows[own], labels))
        wrong, wrong_in_camera = zip(*parts, strict=True)
        return np.concatenate(wrong), np.concatenate(wrong_in_camera)
    device, queries = block.device, len(block)
    query = np.repeat(np.arange(queries), counts)
    slot = np.arange(len(rows)) - offsets[query]
    sorted_matches = np.full((queries, most), np.inf, np.float32)
    sorted_matches[query, slot] = distances
    # A wrong image at distance d stands before every match at distance >= d: count it at the first such match.
    first = torch.searchsorted(torch.from_numpy(sorted_matches).to(device), block)  # [b, G] in 0..R; R: behind all
    camera = torch.from_numpy(labels.camera_of_row).to(device)
    first += (torch.arange(queries, device=device)[:, None] * labels.num_cameras + camera[None, :]) * (most + 1)
    cells = queries * labels.num_cameras * (most + 1)
    found = torch.bincount(first[~torch.isinf(block)], minlength=cells).view(queries, labels.num_cameras, most + 1)
    before = found.cumsum(dim=2).cpu().numpy()  # [b, C, R + 1]
    own = before[query, labels.camera_of_row[rows], slot]
    return before.sum(axis=1)[query, slot], own


def _ordinals(offsets: IntArray, cameras: IntArray, num_cameras: int) -> tuple[IntArray, IntArray]:
    """1..R for the matches of each query, and 1.. for those of each query under one camera."""
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    nth = np.arange(len(query)) - offsets[query] + 1
    group = query * num_cameras + cameras
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    in_camera = np.empty(len(group), np.int64)
    in_camera[order] = np.arange(len(group)) - starts[group[order]] + 1
    return nth, in_camera


def _add_to_histogram(wrong: Tensor, histogram: IntArray, bins_per_unit: float) -> None:
    last = len(histogram) - 1
    bins = (wrong[~torch.isinf(wrong)] * bins_per_unit).clamp_(max=last).to(torch.int64)
    histogram += torch.bincount(bins, minlength=last + 1).cpu().numpy()


def _nearest(block: Tensor, is_match: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Distances, indices and matches of each row's nearest k, ordered by distance, wrong before right, row."""
    distances, indices = block.topk(k, dim=1, largest=False)
    cut = distances[:, -1:]
    tied = ((block <= cut).sum(dim=1) > k) & ~torch.isinf(cut[:, 0])  # the k-th place is shared: which ones stay in?
    for row in tied.nonzero()[:, 0].tolist():
        candidates = (block[row] <= cut[row]).nonzero()[:, 0]
        order = candidates[_stable_order(block[row, candidates][None], is_match[row, candidates][None])[0]]
        indices[row], distances[row] = order[:k], block[row, order[:k]]
    indices, by_row = indices.sort(dim=1)
    distances = distances.gather(1, by_row)
    matches = is_match.gather(1, indices)
    order = _stable_order(distances, matches)
    return distances.gather(1, order), indices.gather(1, order), matches.gather(1, order)


def _stable_order(distances: Tensor, matches: Tensor) -> Tensor:
    """Positions [b, n] that sort by distance, then wrong before right, then as they came."""
    order = matches.to(torch.uint8).argsort(dim=1, stable=True)
    return order.gather(1, distances.gather(1, order).argsort(dim=1, stable=True))
