"""Retrieval figures, each a pure function of a Ranking. Fractions in [0, 1]; a query without a match has no value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.retrieval.ranking import Ranking

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RetrievalMetrics:
    """The headline figures of one ranking.

    Attributes:
        cmc: float64 [max_rank]; cmc[k - 1] is the fraction of scored queries with a match among the first k.
        mean_ap: mAP, mean over scored queries of average precision.
        mean_inp: mINP, mean over scored queries of the inverse negative penalty.
        num_queries: all queries.
        num_scored: queries with at least one match; the others count nowhere.
    """

    cmc: Float64Array
    mean_ap: float
    mean_inp: float
    num_queries: int
    num_scored: int

    def figures(self, ranks: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
        """`cmc_rank_<k>`, `mAP` and `mINP` as files and MLflow name them; a rank beyond the CMC repeats its end."""
        named = {f"cmc_rank_{k}": float(self.cmc[min(k, len(self.cmc)) - 1]) for k in ranks}
        return {**named, "mAP": self.mean_ap, "mINP": self.mean_inp}


def measure(ranking: Ranking, *, max_rank: int = 50) -> RetrievalMetrics:
    """CMC, mAP and mINP of a ranking.

    Raises:
        DataError: no query has a match, so that no figure has a value.
    """
    scored = ranking.num_matches > 0
    if not scored.any():
        raise DataError(
            f"no query has a match in the gallery: {ranking.num_queries} queries",
            "gallery images of a query's own camera are left out (Market-1501 rule), and none of its identity remains",
            "give query and gallery the same identities, seen by at least two cameras, with real camera numbers",
        )
    return RetrievalMetrics(
        cmc=cmc(ranking, max_rank=max_rank),
        mean_ap=float(np.nanmean(average_precision(ranking))),
        mean_inp=float(np.nanmean(inverse_negative_penalty(ranking))),
        num_queries=ranking.num_queries,
        num_scored=int(scored.sum()),
    )


def average_precision(ranking: Ranking) -> Float64Array:
    """Average precision of each query.

    Returns:
        float64 [Q] in (0, 1]; NaN for a query with no match, so that the caller must decide.

    AP = (1/R) * sum_i i / rank_i over the R matches, rank_i being the rank of the i-th.
    Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015, in the sum form.
    """
    counts = ranking.num_matches
    nth = np.arange(len(ranking.match_ranks)) - np.repeat(ranking.match_offsets[:-1], counts) + 1  # 1..R in each query
    query_of_match = np.repeat(np.arange(ranking.num_queries), counts)
    sums = np.bincount(query_of_match, weights=nth / ranking.match_ranks, minlength=ranking.num_queries)
    values: Float64Array = np.divide(sums, counts, out=np.full(ranking.num_queries, np.nan), where=counts > 0)
    return values


def inverse_negative_penalty(ranking: Ranking) -> Float64Array:
    """Inverse negative penalty of each query: R divided by the rank of its last match; NaN without a match.

    Returns:
        float64 [Q] in (0, 1]; 1 when all matches come first.

    Source: Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021, equation 1.
    """
    counts = ranking.num_matches
    values = np.full(ranking.num_queries, np.nan)
    scored = counts > 0
    values[scored] = counts[scored] / ranking.match_ranks[ranking.match_offsets[1:][scored] - 1]
    return values


def first_match_rank(ranking: Ranking) -> Float64Array:
    """Rank of each query's first match, float64 [Q]; NaN without a match."""
    values = np.full(ranking.num_queries, np.nan)
    scored = ranking.num_matches > 0
    values[scored] = ranking.match_ranks[ranking.match_offsets[:-1][scored]]
    return values


def cmc(ranking: Ranking, *, max_rank: int) -> Float64Array:
    """Cumulative matching characteristic, float64 [max_rank], over the queries that have a match.

    Ranks beyond the gallery repeat the last value, which is then 1: every scored query has found its match by there.
    """
    first = first_match_rank(ranking)
    first = first[~np.isnan(first)].astype(np.int64)
    hits = np.bincount(np.minimum(first, max_rank + 1), minlength=max_rank + 2)[1 : max_rank + 1]
    return np.cumsum(hits) / max(len(first), 1)
