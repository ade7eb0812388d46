"""The ranking of a gallery for each query: the one object that every figure and every picture is read from.

The camera rule is applied as a mask before anything is ranked (Market-1501: gallery images of the query's own identity
and camera are left out), so a number and a picture cannot disagree. Memory grows with Q + G, not with Q x G.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reid.labels import DISTRACTOR_PID
from reid.retrieval.distance import DistanceRows
from reid.retrieval.embeddings import BoolArray, Embeddings, FloatArray, IntArray

_BYTES_PER_PAIR = 34  # one block: distances, masks, search positions (int64) and their flat copies


@dataclass(frozen=True)
class Ranking:
    """For each query: at which ranks its matches stand, and which gallery images come first.

    A match is a gallery image of the query's identity that the camera rule leaves in. Where distances are equal, a
    wrong image stands before a right one and otherwise the earlier row first: a network that maps all images to one
    point scores as badly as it deserves, and the order of the gallery changes no figure.

    Attributes:
        match_ranks: int64 [M], ascending within a query; rank 1 is the nearest.
        match_offsets: int64 [Q + 1]; the matches of query q are match_ranks[match_offsets[q]:match_offsets[q + 1]].
        num_candidates: int64 [Q], gallery images that the camera rule leaves to each query.
        top_indices: int64 [Q, K], gallery rows of the nearest K; -1 where fewer remain.
        top_distances: float32 [Q, K]; infinite where fewer remain.
        top_matches: bool [Q, K], True where that gallery image is a match.
        distance: name of the distance, for reports.
    """

    match_ranks: IntArray
    match_offsets: IntArray
    num_candidates: IntArray
    top_indices: IntArray
    top_distances: FloatArray
    top_matches: BoolArray
    distance: str

    @property
    def num_queries(self) -> int:
        """Number of queries, Q."""
        return len(self.num_candidates)

    @property
    def num_matches(self) -> IntArray:
        """int64 [Q], matches of each query; 0 for a query that cannot be scored."""
        return np.diff(self.match_offsets)

    def ranks_of(self, query: int) -> IntArray:
        """int64 [R], the ranks of one query's matches, ascending."""
        return self.match_ranks[self.match_offsets[query] : self.match_offsets[query + 1]]


def rank(
    distances: DistanceRows,
    query: Embeddings,
    gallery: Embeddings,
    *,
    top_k: int = 10,
    memory_bytes: int = 512 * 2**20,
) -> Ranking:
    """Ranks the gallery for each query.

    Args:
        distances: gives the distances of a block of queries.
        query: labels of the Q queries.
        gallery: labels of the G gallery images.
        top_k: how many nearest images to keep for pictures; the figures always use the whole gallery.
        memory_bytes: working memory of one block of queries.
    """
    device = distances.device
    labels = [torch.from_numpy(array).to(device) for array in (query.pids, query.camids, gallery.pids, gallery.camids)]
    query_pids, query_camids, gallery_pids, gallery_camids = labels
    total, gallery_size = distances.num_queries, distances.num_gallery
    rows = max(1, min(total, memory_bytes // (_BYTES_PER_PAIR * gallery_size)))
    blocks = []
    for start in range(0, total, rows):
        stop = min(start + rows, total)
        same_pid = query_pids[start:stop, None] == gallery_pids[None, :]  # [b, 1] == [1, G] -> [b, G]
        excluded = same_pid & (query_camids[start:stop, None] == gallery_camids[None, :])
        is_match = same_pid & ~excluded & (query_pids[start:stop, None] != DISTRACTOR_PID)
        block = distances.rows(start, stop).masked_fill_(excluded, torch.inf)
        blocks.append(
            (*_match_ranks(block, is_match), *_nearest(block, is_match, min(top_k, gallery_size)), excluded.sum(1))
        )
    ranks, counts, top_distances, top_indices, top_matches, num_excluded = (
        torch.cat(parts).cpu().numpy() for parts in zip(*blocks, strict=True)
    )
    return Ranking(
        match_ranks=ranks,
        match_offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        num_candidates=gallery_size - num_excluded,
        top_indices=np.where(np.isinf(top_distances), -1, top_indices),
        top_distances=top_distances,
        top_matches=top_matches,
        distance=distances.name,
    )


def _match_ranks(block: Tensor, is_match: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks of all matches without sorting the gallery: each wrong image is binary-searched among the few matches.

    Returns:
        int64 [M] ranks, query by query, ascending; int64 [b] number of matches of each query.
    """
    queries = len(block)
    counts = is_match.sum(dim=1)  # [b]
    most = int(counts.max())
    if most == 0:
        return counts.new_empty(0), counts
    found = is_match.nonzero()  # [M, 2], row by row
    slot = torch.arange(len(found), device=block.device) - (counts.cumsum(0) - counts)[found[:, 0]]
    matches = block.new_full((queries, most), torch.inf)  # [b, R], padded with infinity
    matches[found[:, 0], slot] = block[found[:, 0], found[:, 1]]
    matches = matches.sort(dim=1).values
    # A wrong image at distance d stands before every match at distance >= d: count it at the first such match.
    first = torch.searchsorted(matches, block)  # [b, G] in 0..R; R: behind all matches
    first += torch.arange(queries, device=block.device)[:, None] * (most + 1)
    wrong = first[~(is_match | torch.isinf(block))]
    before = torch.bincount(wrong, minlength=queries * (most + 1)).view(queries, most + 1)[:, :most].cumsum(dim=1)
    ranks = before + torch.arange(1, most + 1, device=block.device)  # [b, R] + [R] -> [b, R]
    return ranks[torch.arange(most, device=block.device)[None, :] < counts[:, None]], counts


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
