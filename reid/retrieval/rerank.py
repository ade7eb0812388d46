"""k-reciprocal re-ranking, sparse: exact, with memory that grows with the number of points and not with its square.

Source: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017; k1, k2 and lambda as
there. As in the authors' program, distances are squared Euclidean, divided by each point's largest distance, and k1 / 2
is rounded half to even. The authors keep several dense (Q + G) x (Q + G) matrices; here each point keeps its k1 + 1
nearest neighbours and its few k-reciprocal weights (CSR), computed in blocks.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reid.retrieval.distance import EuclideanDistance, check_same_dimension
from reid.retrieval.embeddings import BoolArray, Embeddings, FloatArray, IntArray

log = logging.getLogger(__name__)

_BLOCK_BYTES = 256 * 2**20


@dataclass(frozen=True)
class _Sparse:
    """Rows of (column, weight), CSR."""

    offsets: IntArray  # [N + 1]
    columns: IntArray  # [nnz], ascending in each row
    weights: FloatArray  # [nnz]

    def rows(self, wanted: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Entries of the wanted rows: position in `wanted`, column, weight."""
        starts, counts = self.offsets[wanted], np.diff(self.offsets)[wanted]
        flat = _ranges(starts, counts)
        return np.repeat(np.arange(len(wanted)), counts), self.columns[flat], self.weights[flat]


class KReciprocalDistance:
    """Re-ranked distance: (1 - lambda) * Jaccard distance of k-reciprocal neighbours + lambda * original distance.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        k1: neighbours in the k-reciprocal sets.
        k2: neighbours in the local query expansion; 1 switches it off.
        lambda_value: weight of the original distance, in [0, 1].
        l2_normalise: scale each vector to unit length first.
        device: where distances are computed.

    Raises:
        DataError: the two sides have different dimensions.
    """

    def __init__(
        self,
        query: Embeddings,
        gallery: Embeddings,
        *,
        k1: int = 20,
        k2: int = 6,
        lambda_value: float = 0.3,
        l2_normalise: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        began = time.perf_counter()
        check_same_dimension(query, gallery)
        everyone = Embeddings(
            np.concatenate([query.vectors, gallery.vectors]),
            np.concatenate([query.pids, gallery.pids]),
            np.concatenate([query.camids, gallery.camids]),
        )
        self._original = EuclideanDistance(everyone, everyone, l2_normalise=l2_normalise, device=device)
        self.device = self._original.device
        self.num_queries, self.num_gallery = len(query), len(gallery)
        self.name = f"k_reciprocal(k1={k1}, k2={k2}, lambda={lambda_value:g}) of {self._original.name}"
        self.largest = 1.0
        self._lambda = lambda_value
        keep = min(max(k1 + 1, k2), len(everyone))
        neighbours, self._largest = self._nearest(keep)
        sets = _k_reciprocal_sets(neighbours, k1)
        weights = _normalised(sets, np.exp(-self._scaled_distances(sets)), total=len(everyone))
        if k2 > 1:
            weights = _expand(weights, neighbours[:, :k2])
        self._weights = weights
        self._gallery_by_column = _transpose(weights, first_row=self.num_queries)
        log.info(
            "k-reciprocal neighbours of %d points: %.1f weights each, %.1f s",
            len(everyone),
            len(weights.columns) / len(everyone),
            time.perf_counter() - began,
        )

    def rows(self, start: int, stop: int) -> Tensor:
        """float32 [stop - start, G]."""
        original = self._original.rows(start, stop)[:, self.num_queries :].contiguous()
        original /= torch.from_numpy(self._largest[start:stop, None]).to(self.device)
        jaccard = torch.from_numpy(1.0 - self._overlap(np.arange(start, stop))).to(self.device)
        return original.mul_(self._lambda).add_(jaccard, alpha=1.0 - self._lambda)

    def _overlap(self, queries: IntArray) -> FloatArray:
        """float32 [b, G] in [0, 1]: sum of minima over sum of maxima of the weights of each query and gallery image."""
        row, column, weight = self._weights.rows(queries)
        entry, gallery_row, gallery_weight = self._gallery_by_column.rows(column)
        cell = row[entry] * self.num_gallery + gallery_row
        minima = np.bincount(
            cell, weights=np.minimum(weight[entry], gallery_weight), minlength=len(queries) * self.num_gallery
        ).reshape(len(queries), self.num_gallery)
        # Each row of weights sums to 1, so the sum of maxima is 2 minus the sum of minima.
        shared: FloatArray = (minima / (2.0 - minima)).astype(np.float32)
        return shared

    def _nearest(self, keep: int) -> tuple[IntArray, FloatArray]:
        """Nearest points int64 [N, keep], normally starting with the point itself, and largest distances [N]."""
        total = self._original.num_queries
        block = max(1, _BLOCK_BYTES // (8 * total))
        indices, largest = [], []
        for start in range(0, total, block):
            rows = self._original.rows(start, min(start + block, total))
            indices.append(rows.topk(keep, dim=1, largest=False).indices.cpu().numpy())
            largest.append(rows.amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny).cpu().numpy())
        return np.concatenate(indices), np.concatenate(largest)

    def _scaled_distances(self, keys: IntArray) -> FloatArray:
        """float32 [E], original distance of each pair over the largest distance of its first point."""
        total = self._original.num_queries
        return np.concatenate(
            [
                self._original.pairs(first, second) / self._largest[first]
                for first, second in (np.divmod(part, total) for part in _blocks(keys, self._original.dim))
            ]
        )


def _k_reciprocal_sets(neighbours: IntArray, k1: int) -> IntArray:
    """The expanded k-reciprocal set of each point, as sorted keys point * N + member (equations 3 and 4).

    A member's own half-size set joins when more than two thirds of it lie in the point's set.
    """
    total = len(neighbours)
    whole = _reciprocal(neighbours[:, : k1 + 1])
    half = _reciprocal(neighbours[:, : round(k1 / 2) + 1])
    half_offsets = np.searchsorted(half, np.arange(total + 1) * total)
    half_sizes = np.diff(half_offsets)
    joined = [whole]
    for part in _blocks(whole, k1):
        point, member = np.divmod(part, total)
        entry = np.repeat(np.arange(len(part)), half_sizes[member])
        keys = point[entry] * total + half[_ranges(half_offsets[member], half_sizes[member])] % total
        shared = np.bincount(entry, weights=_contains(whole, keys), minlength=len(part))
        joined.append(keys[(shared * 3 > half_sizes[member] * 2)[entry]])
    return np.unique(np.concatenate(joined))


def _reciprocal(neighbours: IntArray) -> IntArray:
    """Sorted keys point * N + neighbour of the pairs that are each other's neighbours; neighbours is int64 [N, k]."""
    total, k = neighbours.shape
    point, neighbour = np.repeat(np.arange(total), k), neighbours.ravel()
    keys = np.sort(point * total + neighbour)
    return keys[_contains(keys, (keys % total) * total + keys // total)]


def _normalised(keys: IntArray, weights: FloatArray, total: int) -> _Sparse:
    """Rows of weights that sum to 1."""
    rows = keys // total
    sums = np.bincount(rows, weights=weights, minlength=total)
    offsets = np.searchsorted(keys, np.arange(total + 1) * total)
    return _Sparse(offsets, keys % total, (weights / sums[rows]).astype(np.float32))


def _expand(weights: _Sparse, neighbours: IntArray) -> _Sparse:
    """Local query expansion: each row becomes the mean of its k2 nearest neighbours' rows (equation 11).

    Args:
        weights: [N] rows.
        neighbours: int64 [N, k2].
    """
    total, k2 = neighbours.shape
    parts = []
    for points in np.array_split(np.arange(total), max(1, total // 4096)):
        entry, column, weight = weights.rows(neighbours[points].ravel())
        keys, inverse = np.unique(entry // k2 * total + column, return_inverse=True)
        parts.append((keys + points[0] * total, np.bincount(inverse, weights=weight) / k2))
    keys = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts]).astype(np.float32)
    return _Sparse(np.searchsorted(keys, np.arange(total + 1) * total), keys % total, values)


def _transpose(weights: _Sparse, *, first_row: int) -> _Sparse:
    """By column: the rows from `first_row` on (counted from there) that have a weight in it."""
    total = len(weights.offsets) - 1
    begin = weights.offsets[first_row]
    rows = np.repeat(np.arange(total - first_row), np.diff(weights.offsets[first_row:]))
    columns, values = weights.columns[begin:], weights.weights[begin:]
    order = np.argsort(columns, kind="stable")
    return _Sparse(np.searchsorted(columns[order], np.arange(total + 1)), rows[order], values[order])


def _contains(sorted_keys: IntArray, wanted: IntArray) -> BoolArray:
    """Which of the wanted keys are among the sorted ones."""
    at = np.searchsorted(sorted_keys, wanted)
    found: BoolArray = sorted_keys[np.minimum(at, len(sorted_keys) - 1)] == wanted
    return found


def _ranges(starts: IntArray, counts: IntArray) -> IntArray:
    """Concatenation of arange(start, start + count) for each pair."""
    ends = np.cumsum(counts)
    flat: IntArray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
    return flat


def _blocks(keys: IntArray, width: int) -> list[IntArray]:
    """Splits keys so that `width` numbers of 8 bytes for each key fit one block."""
    return np.array_split(keys, max(1, -(-len(keys) * width * 8 // _BLOCK_BYTES)))
