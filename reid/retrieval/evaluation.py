"""Everything that is measured on one ranking, in one object for files, pictures and pages."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from reid.retrieval.cameras import CameraPairs, camera_pairs, too_many_cameras
from reid.retrieval.embeddings import Embeddings, IntArray
from reid.retrieval.intervals import bootstrap_intervals
from reid.retrieval.metrics import (
    CMC_RANKS,
    APForm,
    Float64Array,
    RetrievalMetrics,
    average_precision,
    first_match_rank,
    inverse_negative_penalty,
    measure,
)
from reid.retrieval.ranking import Ranking
from reid.retrieval.verification import Verification, verify

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PerQuery:
    """Figures of each query; the headline figures are their means over the scored queries.

    Attributes:
        average_precision: float64 [Q] in (0, 1]; NaN for a query without a match.
        inverse_negative_penalty: float64 [Q] in (0, 1]; NaN as above.
        first_match_rank: float64 [Q], from 1; NaN as above.
        num_matches: int64 [Q]; 0 for a query without a match.
    """

    average_precision: Float64Array
    inverse_negative_penalty: Float64Array
    first_match_rank: Float64Array
    num_matches: IntArray

    def by_figure(self) -> dict[str, Float64Array]:
        """Float64 [Q] for each headline figure that has an interval, NaN where a query is not scored."""
        first = self.first_match_rank
        hits = {f"cmc_rank_{k}": (first <= k) + 0 * first for k in CMC_RANKS}  # 0 * NaN keeps NaN
        return {**hits, "mAP": self.average_precision, "mINP": self.inverse_negative_penalty}


@dataclass(frozen=True)
class Evaluation:
    """What a ranking is worth.

    Attributes:
        metrics: headline figures.
        per_query: the same by query.
        intervals: 95 % low and high of "cmc_rank_1", "cmc_rank_5", "cmc_rank_10", "mAP" and "mINP", by a bootstrap over
            query identities; empty where none was asked for or fewer than two identities are scored.
        camera_pairs: mAP and rank-1 by query and gallery camera; None with too many cameras, or with none.
        verification: error rates of distance thresholds; None without a same or without a different pair.
        camera_pairs_left_out: a sentence on why there are no camera pairs; empty where there are.
    """

    metrics: RetrievalMetrics
    per_query: PerQuery
    intervals: dict[str, tuple[float, float]]
    camera_pairs: CameraPairs | None
    verification: Verification | None
    camera_pairs_left_out: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What `metrics.json` says of it: plain JSON, None where a figure has no value."""
        metrics = self.metrics
        return {
            **metrics.figures(),
            "queries": metrics.num_queries,
            "queries_scored": metrics.num_scored,
            "queries_without_match": metrics.num_queries - metrics.num_scored,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "verification": self.verification.summary() if self.verification else None,
            "camera_pairs": self.camera_pairs.cells() if self.camera_pairs else None,
            "camera_pairs_left_out": self.camera_pairs_left_out or None,
        }


def evaluate_ranking(
    ranking: Ranking,
    query: Embeddings,
    gallery: Embeddings,
    *,
    max_rank: int = 50,
    average_precision: APForm = "sum",
    resamples: int = 1000,
    seed: int = 0,
    by_camera: bool = True,
) -> Evaluation:
    """Measures a ranking.

    Args:
        ranking: of query against gallery.
        query: labels of the Q queries.
        gallery: labels of the G gallery images.
        max_rank: length of the CMC; never less than the 10 of the last headline figure.
        average_precision: its form, in every figure.
        resamples: of the bootstrap; 0: no intervals.
        seed: of the bootstrap.
        by_camera: whether the images are of cameras, so that figures of pairs of them mean something.

    Raises:
        DataError: no query has a match, so that no figure has a value.
    """
    metrics = measure(ranking, max_rank=max_rank, form=average_precision)
    per_query = _per_query(ranking, average_precision)
    left_out = too_many_cameras(query, gallery) if by_camera else ""
    paired = by_camera and not left_out
    if left_out:
        log.info("%s", left_out)
    return Evaluation(
        metrics=metrics,
        per_query=per_query,
        intervals=bootstrap_intervals(per_query.by_figure(), query.pids, resamples=resamples, seed=seed),
        camera_pairs=camera_pairs(ranking, query, gallery, form=average_precision) if paired else None,
        verification=verify(ranking),
        camera_pairs_left_out=left_out,
    )


def _per_query(ranking: Ranking, form: APForm) -> PerQuery:
    return PerQuery(
        average_precision=average_precision(ranking, form=form),
        inverse_negative_penalty=inverse_negative_penalty(ranking),
        first_match_rank=first_match_rank(ranking),
        num_matches=ranking.num_matches,
    )
