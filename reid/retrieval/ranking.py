"""The ranking of a gallery for each query: the one object that every figure and every picture is read from.

The camera rule is applied before anything is ranked (Market-1501: gallery images of the query's own identity and camera
are left out), so a number and a picture cannot disagree. Time grows with Q x G, memory with Q + G.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid.labels import DISTRACTOR_PID
from reid.retrieval.blocks import BlockLabels, BlockRanks, block_rows, rank_block
from reid.retrieval.distance import DistanceRows
from reid.retrieval.embeddings import BoolArray, Embeddings, FloatArray, IntArray
from reid.retrieval.pairs import Exclude, label_pairs

HISTOGRAM_BINS = 16384


@dataclass(frozen=True)
class Ranking:
    """For each query: at which ranks its matches stand, and which gallery images come first.

    A match is a gallery image of the query's identity that the exclusion rule leaves in. Where distances are equal, a
    wrong image stands before a right one and otherwise the earlier row first: a network that maps all images to one
    point scores as badly as it deserves, and the order of the gallery changes no figure.

    Attributes:
        match_offsets: int64 [Q + 1]; the matches of query q are the entries match_offsets[q]:match_offsets[q + 1] of
            the next four.
        match_ranks: int64 [M], ascending within a query; rank 1 is the nearest.
        match_rows: int64 [M], gallery rows.
        match_distances: float32 [M].
        match_camera_ranks: int64 [M], the rank among the gallery images of the match's own camera alone.
        num_candidates: int64 [Q], gallery images that the exclusion rule leaves to each query.
        top_indices: int64 [Q, K], gallery rows of the nearest K; -1 where fewer remain.
        top_distances: float32 [Q, K]; infinite where fewer remain.
        top_matches: bool [Q, K], True where that gallery image is a match.
        different: int64 [HISTOGRAM_BINS], pairs of different people by distance, in equal bins of
            [0, largest_distance]. Queries labelled as distractors are not counted: who they show is not known.
        largest_distance: no distance is larger.
        distance: name of the distance, for reports.
        exclude: the exclusion rule.
    """

    match_offsets: IntArray
    match_ranks: IntArray
    match_rows: IntArray
    match_distances: FloatArray
    match_camera_ranks: IntArray
    num_candidates: IntArray
    top_indices: IntArray
    top_distances: FloatArray
    top_matches: BoolArray
    different: IntArray
    largest_distance: float
    distance: str
    exclude: Exclude

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
    exclude: Exclude = "same_camera",
    top_k: int = 10,
    memory_bytes: int = 2**30,
) -> Ranking:
    """Ranks the gallery for each query.

    Args:
        distances: gives the distances of a block of queries.
        query: labels of the Q queries.
        gallery: labels of the G gallery images.
        exclude: what is left out of a query's ranking.
        top_k: how many nearest images to keep for pictures; the figures always use the whole gallery.
        memory_bytes: working memory of one block of queries.

    Raises:
        DataError: a single query's distances need more than that memory, or images cannot be told apart by name.
    """
    total, gallery_size = distances.num_queries, distances.num_gallery
    rows = block_rows(total, gallery_size, memory_bytes, bytes_per_pair=distances.bytes_per_pair)
    pairs = label_pairs(query, gallery, exclude)
    cameras, camera_of_row = np.unique(gallery.camids, return_inverse=True)
    counted = query.pids != DISTRACTOR_PID
    top_k = min(top_k, gallery_size)
    blocks: list[BlockRanks] = []
    different = np.zeros(HISTOGRAM_BINS, np.int64)
    for start in range(0, total, rows):
        stop = min(start + rows, total)
        blocks.append(
            rank_block(
                distances.rows(start, stop),
                BlockLabels(
                    matches=pairs.block(start, stop, pairs.is_match),
                    excluded=pairs.block(start, stop, pairs.excluded),
                    counted=counted[start:stop],
                    camera_of_row=camera_of_row,
                    num_cameras=len(cameras),
                ),
                top_k=top_k,
                histogram=different,
                bins_per_unit=HISTOGRAM_BINS / distances.largest,
            )
        )
    return Ranking(
        match_offsets=pairs.offsets_of(pairs.is_match),
        match_ranks=np.concatenate([block.ranks for block in blocks]),
        match_rows=np.concatenate([block.rows for block in blocks]),
        match_distances=np.concatenate([block.distances for block in blocks]),
        match_camera_ranks=np.concatenate([block.camera_ranks for block in blocks]),
        num_candidates=gallery_size - np.diff(pairs.offsets_of(pairs.excluded)),
        top_indices=np.concatenate([block.top_indices for block in blocks]),
        top_distances=np.concatenate([block.top_distances for block in blocks]),
        top_matches=np.concatenate([block.top_matches for block in blocks]),
        different=different,
        largest_distance=distances.largest,
        distance=distances.name,
        exclude=exclude,
    )
