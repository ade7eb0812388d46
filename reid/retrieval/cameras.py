"""Figures by pair of cameras: how well people seen by one camera are found by another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reid.retrieval.embeddings import Embeddings, IntArray
from reid.retrieval.metrics import APForm, Float64Array, grouped_average_precision
from reid.retrieval.ranking import Ranking


@dataclass(frozen=True)
class CameraPairs:
    """Queries of camera a ranked against the gallery images of camera b alone.

    Attributes:
        query_cameras: int64 [A], ascending.
        gallery_cameras: int64 [B], ascending.
        mean_ap: float64 [A, B] in (0, 1]; NaN where no query of a has a match under b.
        rank_1: float64 [A, B] in [0, 1], the part of the scored queries whose nearest image is a match; NaN as above.
        num_queries: int64 [A, B], scored queries of each pair: a query counts in each column where it has a match.
    """

    query_cameras: IntArray
    gallery_cameras: IntArray
    mean_ap: Float64Array
    rank_1: Float64Array
    num_queries: IntArray

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, a list for each query camera; None where nobody can be scored."""
        return {
            "query_cameras": self.query_cameras.tolist(),
            "gallery_cameras": self.gallery_cameras.tolist(),
            "mAP": _without_nan(self.mean_ap),
            "cmc_rank_1": _without_nan(self.rank_1),
            "queries": self.num_queries.tolist(),
        }


def camera_pairs(ranking: Ranking, query: Embeddings, gallery: Embeddings, *, form: APForm = "sum") -> CameraPairs:
    """The matrix of camera pairs, exact and without a second ranking.

    A match's rank among the images of its own camera is its rank in a gallery of that camera alone, and the ranking
    knows it (`match_camera_ranks`). Under the same-camera rule the pair of a camera with itself has no value.

    Args:
        ranking: of query against gallery.
        query: labels of the Q queries.
        gallery: labels of the G gallery images.
        form: of average precision.
    """
    query_cameras, query_camera = np.unique(query.camids, return_inverse=True)
    gallery_cameras, gallery_camera = np.unique(gallery.camids, return_inverse=True)
    columns = len(gallery_cameras)
    query_of_match = np.repeat(np.arange(ranking.num_queries), ranking.num_matches)
    # One list for each query and gallery camera.
    group = query_of_match * columns + gallery_camera[ranking.match_rows]
    groups = ranking.num_queries * columns
    ap = grouped_average_precision(ranking.match_camera_ranks, group, groups, form=form)
    first = np.bincount(group[ranking.match_camera_ranks == 1], minlength=groups).astype(np.float64)
    scored = np.flatnonzero(~np.isnan(ap))
    cell = query_camera[scored // columns] * columns + scored % columns
    shape = (len(query_cameras), columns)
    counts = np.bincount(cell, minlength=shape[0] * columns).reshape(shape)

    def mean(values: Float64Array) -> Float64Array:
        sums = np.bincount(cell, weights=values[scored], minlength=shape[0] * columns).reshape(shape)
        means: Float64Array = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
        return means

    return CameraPairs(query_cameras, gallery_cameras, mean(ap), mean(first), counts)


def _without_nan(matrix: Float64Array) -> list[list[float | None]]:
    return [[None if np.isnan(value) else value for value in row] for row in matrix.tolist()]
