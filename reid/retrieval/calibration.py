"""From error rates to the probability of being one person, by isotonic regression.

Two histograms alone would give a probability that rises and falls with noise; a farther pair is never more likely to be
one person, so the best never-rising curve is fitted.
Source: Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability Estimates, KDD 2002.
"""

from __future__ import annotations

import numpy as np

from reid.retrieval.embeddings import IntArray
from reid.retrieval.metrics import Float64Array


def calibrated_curve(
    thresholds: Float64Array,
    true_positive_rate: Float64Array,
    false_positive_rate: Float64Array,
    *,
    num_same: int,
    num_different: int,
) -> tuple[Float64Array, Float64Array]:
    """Points between which the probability is linear; beyond the ends it is constant.

    One pair of each kind is put at the wrong end (a different pair at the smallest distance, a same pair at the
    largest), so that finitely many pairs never claim certainty.

    Args:
        thresholds: float64 [T], ascending.
        true_positive_rate: float64 [T], part of the same pairs below each threshold.
        false_positive_rate: float64 [T], part of the different pairs below each threshold.
        num_same: same pairs behind the rates.
        num_different: different pairs behind the rates.

    Returns:
        Distances float64 [n], ascending, and probabilities float64 [n] in (0, 1), never rising. Both kinds of pairs are
        weighted to be equally frequent.
    """
    same, different = np.diff(true_positive_rate), np.diff(false_positive_rate)  # [T - 1]
    occupied = np.flatnonzero(same + different > 0)
    same, different = same[occupied], different[occupied]
    different[0] += 1 / num_different
    same[-1] += 1 / num_same
    weights = same + different
    starts, values = falling_regression(same / weights, weights)
    last = np.append(starts[1:], len(occupied)) - 1
    lower, upper = thresholds[occupied], thresholds[occupied + 1]
    middle = (lower + upper) / 2
    # Constant within a block, from the middle of its first interval to the middle of its last.
    points, kept = np.unique(np.stack([middle[starts], middle[last]], axis=1), return_index=True)
    return points, np.repeat(values, 2)[kept]


def falling_regression(values: Float64Array, weights: Float64Array) -> tuple[IntArray, Float64Array]:
    """Weighted least squares fit that never rises, by pooling adjacent violators.

    Args:
        values: float64 [n], at least one.
        weights: float64 [n], positive.

    Returns:
        Blocks of equal fit: int64 [b], where each begins, and float64 [b], its value, falling.

    Source: Ayer et al., An Empirical Distribution Function for Sampling with Incomplete Information, 1955.
    """
    starts: list[int] = []
    means: list[float] = []
    masses: list[float] = []
    for at, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        start, mean, mass = at, value, weight
        while means and means[-1] <= mean:
            start, before = starts.pop(), masses.pop()
            mean = (means.pop() * before + mean * mass) / (before + mass)
            mass += before
        starts.append(start)
        means.append(mean)
        masses.append(mass)
    return np.array(starts, np.int64), np.array(means)
