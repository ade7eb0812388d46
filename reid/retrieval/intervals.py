"""How sure a figure is: bootstrap intervals over the query identities.

The queries of one person succeed and fail together, so persons are drawn, each with all of its queries. Drawing single
queries would count one person's pictures as independent and give intervals that are too narrow.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections 8 (clusters) and 13 (percentile method).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reid.errors import DataError
from reid.retrieval.embeddings import IntArray
from reid.retrieval.metrics import Float64Array

_PERCENTILES = (2.5, 97.5)
_LARGEST_BLOCK = 2**22  # drawn identities held at once


@dataclass(frozen=True)
class PairedDifference:
    """By how much A is better than B on the same queries.

    Attributes:
        mean_a: mean of A over the queries that both score.
        mean_b: mean of B over them.
        difference: mean of A - B.
        low: lower end of the 95 % interval of the difference; NaN with a single identity.
        high: its upper end; NaN with a single identity.
        probability_of_no_gain: part of the resamples where A is not better than B; NaN with a single identity.
        p_value: two-sided p by the bootstrap, in (0, 1]: twice the smaller tail at zero; NaN with a single identity.
        num_queries: queries that both score.
        num_identities: their identities.
        a_wins: queries where A is better.
        b_wins: queries where B is better; the rest are equal.
    """

    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    probability_of_no_gain: float
    p_value: float
    num_queries: int
    num_identities: int
    a_wins: int
    b_wins: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain JSON; None where a number has no value."""
        return {name: None if math.isnan(value) else value for name, value in vars(self).items()}


def bootstrap_intervals(
    values: Mapping[str, Float64Array], pids: IntArray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the means of several figures, from the same resamples.

    Args:
        values: float64 [Q] by figure; NaN where a query is not scored, which must be the same queries in all figures.
        pids: int64 [Q], identity of each query.
        resamples: how often as many identities as there are get drawn with replacement; 0: no intervals.
        seed: of the draw.

    Returns:
        Low and high by figure; empty without resamples, and where fewer than two identities are scored: one person
        tells nothing of how persons differ.
    """
    columns = np.stack(list(values.values()), axis=1)  # [Q, F]
    means = _resampled_means(columns, pids, resamples=resamples, seed=seed)
    if len(means) == 0:
        return {}
    low, high = np.percentile(means, _PERCENTILES, axis=0)
    return {name: (float(low[f]), float(high[f])) for f, name in enumerate(values)}


def paired_difference(
    values_a: Float64Array, values_b: Float64Array, pids: IntArray, *, resamples: int = 1000, seed: int = 0
) -> PairedDifference:
    """Compares two models on the same queries: what each query gains is resampled, so what both find hard cancels out.

    Args:
        values_a: float64 [Q], a figure of each query by A; NaN where not scored.
        values_b: float64 [Q], the same by B; queries that one of them does not score are left out.
        pids: int64 [Q], identity of each query.
        resamples: at least 1.
        seed: of the draw.

    Raises:
        DataError: no query is scored by both.
    """
    both = ~(np.isnan(values_a) | np.isnan(values_b))
    if not both.any():
        raise DataError(
            f"none of {len(pids)} queries is scored by both runs",
            "a paired comparison needs queries that have a match in both galleries",
            "compare two evaluations of the same query and gallery",
        )
    a, b, pids = values_a[both], values_b[both], pids[both]
    gains = a - b
    means = _resampled_means(gains[:, None], pids, resamples=resamples, seed=seed)[:, 0]
    low, high, no_gain, p_value = math.nan, math.nan, math.nan, math.nan
    if len(means):
        low, high = (float(end) for end in np.percentile(means, _PERCENTILES))
        # The observed difference counts as one more resample on either side: p is never 0 from finitely many draws.
        tails = [(np.count_nonzero(tail) + 1) / (len(means) + 1) for tail in (means <= 0, means >= 0)]
        no_gain, p_value = float(np.mean(means <= 0)), min(1.0, 2 * min(tails))
    return PairedDifference(
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float(gains.mean()),
        low=low,
        high=high,
        probability_of_no_gain=no_gain,
        p_value=p_value,
        num_queries=len(pids),
        num_identities=len(np.unique(pids)),
        a_wins=int((gains > 0).sum()),
        b_wins=int((gains < 0).sum()),
    )


def _resampled_means(columns: Float64Array, pids: IntArray, *, resamples: int, seed: int) -> Float64Array:
    """Mean of each column in each resample, float64 [resamples, F]; [0, F] with fewer than two scored identities.

    A resample's mean is a ratio of sums over the drawn identities, so only each identity's sums and its number of
    queries are needed, weighted by how often it was drawn.
    """
    scored = ~np.isnan(columns).any(axis=1)
    identities, identity = np.unique(pids[scored], return_inverse=True)
    total = len(identities)
    if total < 2 or resamples == 0:
        return np.empty((0, columns.shape[1]))
    ones = np.ones((int(scored.sum()), 1))
    sums = np.stack(
        [
            np.bincount(identity, weights=column, minlength=total)
            for column in np.concatenate([columns[scored], ones], axis=1).T
        ],
        axis=1,
    )  # [I, F + 1], the last column counts queries
    generator = np.random.default_rng(seed)
    block = max(1, _LARGEST_BLOCK // total)
    parts = []
    for start in range(0, resamples, block):
        draws = min(block, resamples - start)
        drawn = generator.integers(total, size=(draws, total)) + np.arange(draws)[:, None] * total
        times = np.bincount(drawn.ravel(), minlength=draws * total).reshape(draws, total)
        parts.append(times @ sums)  # [draws, I] [I, F + 1] -> [draws, F + 1]
    totals = np.concatenate(parts)
    means: Float64Array = totals[:, :-1] / totals[:, -1:]
    return means
