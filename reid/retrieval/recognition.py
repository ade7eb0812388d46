"""Recognition figures: what a query's nearest references say of its class, each a pure function of a Ranking.

A class is an identity, a reference a gallery image. The definitions are those of pytorch-metric-learning's
AccuracyCalculator with k = "max_bin_count", the names those of TAO. That calculator needs all neighbours' labels at
once; here the ranks of the matches suffice. At equal distance a wrong reference stands before a right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reid.errors import DataError
from reid.retrieval.clusters import ClusterAgreement
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.metrics import Float64Array, first_match_rank
from reid.retrieval.ranking import Ranking

Average = Literal["queries", "classes"]
"""Each query counts the same, or each class, as the mean of its queries (`report_accuracy_per_class`)."""

HEADLINE = "Precision at Rank 1"
"""The figure by which TAO chooses a checkpoint."""


@dataclass(frozen=True)
class QueryRecognition:
    """The figures of each query, float64 [Q]; NaN for a query whose class has no reference.

    Attributes:
        precision_at_1: 1 where the nearest reference is of the query's class, else 0.
        average_precision: (1/R) * sum of i / rank_i over the matches among the nearest k, R being all matches. So a
            match beyond k counts as never found.
        reciprocal_rank: 1 / rank of the first match; 0 where it is beyond k.
        r_precision: part of the nearest R references that are of the query's class.
    """

    precision_at_1: Float64Array
    average_precision: Float64Array
    reciprocal_rank: Float64Array
    r_precision: Float64Array


@dataclass(frozen=True)
class RecognitionMetrics:
    """The headline figures, means over the scored queries or over their classes.

    Attributes:
        precision_at_1: TAO's `Precision at Rank 1`.
        mean_average_precision: TAO's `Mean Average Precision`, of the nearest k.
        mean_reciprocal_rank: TAO's `Mean Reciprocal Rank`, of the nearest k.
        r_precision: TAO's `r-Precision`.
        average: what the means are over.
        k: references of the largest class that is asked for.
        num_queries: all queries.
        num_scored: queries whose class has a reference; the others count in no mean.
        num_classes: classes of the scored queries.
        clusters: AMI and NMI; None where they were not measured.
    """

    precision_at_1: float
    mean_average_precision: float
    mean_reciprocal_rank: float
    r_precision: float
    average: Average
    k: int
    num_queries: int
    num_scored: int
    num_classes: int
    clusters: ClusterAgreement | None = None

    def figures(self, prefix: str = "") -> dict[str, float]:
        """The figures under TAO's names, e.g. with the prefix "val": `val Precision at Rank 1` and `val_AMI`."""
        means = {
            HEADLINE: self.precision_at_1,
            "Mean Average Precision": self.mean_average_precision,
            "Mean Reciprocal Rank": self.mean_reciprocal_rank,
            "r-Precision": self.r_precision,
        }
        named = {f"{prefix} {name}".lstrip(): value for name, value in means.items()}
        if self.clusters is None:
            return named
        clusters = {"AMI": self.clusters.ami, "NMI": self.clusters.nmi}
        return named | {f"{prefix}_{name}".lstrip("_"): value for name, value in clusters.items()}


def measure_recognition(
    ranking: Ranking, query: Embeddings, *, average: Average = "queries", clusters: ClusterAgreement | None = None
) -> RecognitionMetrics:
    """The headline figures of a ranking.

    Args:
        ranking: of Q queries against the references.
        query: labels of the queries.
        average: over queries, or over the classes of the scored queries, each the mean of its own.
        clusters: of `cluster_agreement`, to stand beside the others.

    Raises:
        DataError: no query's class has a reference.
    """
    scored = ranking.num_matches > 0
    if not scored.any():
        raise DataError(
            f"none of {ranking.num_queries} queries is of a class that has a reference",
            "the nearest reference is then always wrong, and no figure has a value",
            "give references of the classes that are asked for",
        )
    of_query = query_recognition(ranking)
    classes, class_of_query = np.unique(query.pids[scored], return_inverse=True)

    def mean(values: Float64Array) -> float:
        if average == "queries":
            return float(values[scored].mean())
        return float((np.bincount(class_of_query, weights=values[scored]) / np.bincount(class_of_query)).mean())

    return RecognitionMetrics(
        precision_at_1=mean(of_query.precision_at_1),
        mean_average_precision=mean(of_query.average_precision),
        mean_reciprocal_rank=mean(of_query.reciprocal_rank),
        r_precision=mean(of_query.r_precision),
        average=average,
        k=_largest_class(ranking),
        num_queries=ranking.num_queries,
        num_scored=int(scored.sum()),
        num_classes=len(classes),
        clusters=clusters,
    )


def query_recognition(ranking: Ranking) -> QueryRecognition:
    """The figures of each query, with k as in `RecognitionMetrics`."""
    counts = ranking.num_matches
    query_of_match = np.repeat(np.arange(ranking.num_queries), counts)
    nth = np.arange(len(query_of_match)) - ranking.match_offsets[query_of_match] + 1  # 1..R in each query
    near = ranking.match_ranks <= _largest_class(ranking)
    first = first_match_rank(ranking)

    def share(weights: Float64Array) -> Float64Array:
        sums = np.bincount(query_of_match, weights=weights, minlength=len(counts))
        shares: Float64Array = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        return shares

    return QueryRecognition(
        precision_at_1=np.where(counts > 0, (first == 1).astype(np.float64), np.nan),
        average_precision=share(nth / ranking.match_ranks * near),
        reciprocal_rank=np.where(first <= _largest_class(ranking), 1 / first, 0 * first),  # 0 * NaN keeps NaN
        r_precision=share((ranking.match_ranks <= counts[query_of_match]).astype(np.float64)),
    )


def _largest_class(ranking: Ranking) -> int:
    """References of the largest class that is asked for: the k of "max_bin_count"."""
    return int(ranking.num_matches.max())
