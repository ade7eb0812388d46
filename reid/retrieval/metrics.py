"""Retrieval figures, each a pure function of a Ranking. Fractions in [0, 1]; a query without a match has no value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.retrieval.embeddings import IntArray
from reid.retrieval.pairs import Exclude
from reid.retrieval.ranking import Ranking

Float64Array = npt.NDArray[np.float64]

APForm = Literal["sum", "trapezoid"]
"""How average precision is summed: precision at each match, or Market-1501's trapezoids."""

CMC_RANKS = (1, 5, 10)
"""The ranks of the CMC that are headline figures."""

_NO_MATCH: dict[Exclude, tuple[str, str]] = {
    "same_camera": (
        "gallery images of a query's own camera are left out (Market-1501 rule), and none of its identity remains",
        "give query and gallery the same identities, seen by at least two cameras, with real camera numbers, or leave "
        "out only the query image itself with evaluate.exclude=same_image",
    ),
    "same_image": (
        "a query's own image is left out, and none of its identity remains",
        "give query and gallery the same identities, with other images of each in the gallery",
    ),
    "none": ("no gallery image shows a query's identity", "give query and gallery the same identities"),
}


@dataclass(frozen=True)
class RetrievalMetrics:
    """The headline figures of one ranking.

    Attributes:
        cmc: float64 [K], K at least 10; cmc[k - 1] is the fraction of scored queries with a match among the first k.
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

    def figures(self) -> dict[str, float]:
        """`cmc_rank_1`, `cmc_rank_5`, `cmc_rank_10`, `mAP` and `mINP`, as files and MLflow name them."""
        named = {f"cmc_rank_{k}": float(self.cmc[k - 1]) for k in CMC_RANKS}
        return {**named, "mAP": self.mean_ap, "mINP": self.mean_inp}


def measure(ranking: Ranking, *, max_rank: int = 50, form: APForm = "sum") -> RetrievalMetrics:
    """CMC, mAP and mINP of a ranking.

    Args:
        ranking: of Q queries.
        max_rank: length of the CMC, which is longer where a headline figure asks for a later rank.
        form: of average precision.

    Raises:
        DataError: no query has a match, so that no figure has a value.
    """
    scored = ranking.num_matches > 0
    if not scored.any():
        raise DataError(
            f"no query has a match in the gallery: {ranking.num_queries} queries", *_NO_MATCH[ranking.exclude]
        )
    return RetrievalMetrics(
        cmc=cmc(ranking, max_rank=max(max_rank, *CMC_RANKS)),
        mean_ap=float(np.nanmean(average_precision(ranking, form=form))),
        mean_inp=float(np.nanmean(inverse_negative_penalty(ranking))),
        num_queries=ranking.num_queries,
        num_scored=int(scored.sum()),
    )


def average_precision(ranking: Ranking, *, form: APForm = "sum") -> Float64Array:
    """Average precision of each query, float64 [Q] in (0, 1]; NaN for a query with no match.

    The forms are those of `grouped_average_precision`.
    """
    query_of_match = np.repeat(np.arange(ranking.num_queries), ranking.num_matches)
    return grouped_average_precision(ranking.match_ranks, query_of_match, ranking.num_queries, form=form)


def grouped_average_precision(ranks: IntArray, group: IntArray, num_groups: int, *, form: APForm) -> Float64Array:
    """Average precision of many ranked lists at once.

    Args:
        ranks: int64 [M], the rank of each match in its list, counted from 1.
        group: int64 [M] in 0..num_groups - 1, the list of each match; ranks ascend within a list.
        num_groups: number of lists.
        form: "sum" or "trapezoid".

    Returns:
        float64 [num_groups] in (0, 1]; NaN for a list without a match, so that the caller must decide.

    Sum: AP = (1/R) * sum_i i / rank_i over the R matches, the precision at each match.
    Trapezoid: AP = (1/R) * sum_i (i / rank_i + (i - 1) / (rank_i - 1)) / 2, the mean of the precisions at the match and
    one rank before it, where the precision before rank 1 is 1. Recall is constant between matches, so no other rank
    adds area. Never above the sum.
    Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015; trapezoids as in its program,
    compute_AP.m.
    """
    counts = np.bincount(group, minlength=num_groups)
    order = np.argsort(group, kind="stable")
    nth = np.empty(len(group), np.int64)  # 1..R in each list
    nth[order] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    precision = nth / ranks
    if form == "trapezoid":
        before = np.divide(nth - 1, ranks - 1, out=np.ones(len(ranks)), where=ranks > 1)
        precision = (before + precision) / 2
    sums = np.bincount(group, weights=precision, minlength=num_groups)
    values: Float64Array = np.divide(sums, counts, out=np.full(num_groups, np.nan), where=counts > 0)
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
