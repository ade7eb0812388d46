"""Figures by pair of cameras: how well people seen by one camera are found by another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid.retrieval.embeddings import Embeddings, IntArray
from reid.retrieval.metrics import APForm, Float64Array, grouped_average_precision
from reid.retrieval.ranking import Ranking

MOST_CAMERAS = 64
"""On each side. With more, such as a camera of its own for each image, pairs say nothing and the matrix grows huge."""


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

    def cells(self) -> list[dict[str, int | float]]:
        """Plain JSON, one entry for each pair with a scored query, by query camera and then by gallery camera."""
        return [
            {
                "query_camera": int(self.query_cameras[a]),
                "gallery_camera": int(self.gallery_cameras[b]),
                "queries": int(self.num_queries[a, b]),
                "mAP": float(self.mean_ap[a, b]),
                "cmc_rank_1": float(self.rank_1[a, b]),
            }
            for a, b in np.argwhere(self.num_queries).tolist()
        ]


def too_many_cameras(query: Embeddings, gallery: Embeddings) -> str:
    """Why there is no matrix of camera pairs, as a sentence; empty where there is one."""
    queries, images = (len(np.unique(side.camids)) for side in (query, gallery))
    if max(queries, images) <= MOST_CAMERAS:
        return ""
    return (
        f"Pairs of cameras are not measured: more than {MOST_CAMERAS} cameras on a side (queries: {queries:,}, "
        f"gallery: {images:,})."
    )


def camera_pairs(ranking: Ranking, query: Embeddings, gallery: Embeddings, *, form: APForm = "sum") -> CameraPairs:
    """The matrix of camera pairs, exact and without a second ranking.

    A match's rank among the images of its own camera is its rank in a gallery of that camera alone, and the ranking
    knows it (`match_camera_ranks`). Under the same-camera rule the pair of a camera with itself has no value.

    `too_many_cameras` says where it is not worth its size, which grows with the product of the two numbers of cameras.

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
