"""Readings of a pair of error curves: true and false positive rates at the edges of the ranking's distance bins.

Every function takes both rates as float64 [E], ascending from 0 at the first edge to 1 at the last.
"""

from __future__ import annotations

import numpy as np

from reid.retrieval.embeddings import IntArray
from reid.retrieval.metrics import Float64Array

_LINEAR_STEPS = 64  # points of a drawn curve, by rate
_STEPS_PER_DECADE = 16  # and by small rate
_SMALLEST_RATE = 1e-6


def largest_edge(fpr: Float64Array, rate: float) -> int:
    """Index of the largest edge whose false positive rate is at most this."""
    return int(np.searchsorted(fpr, rate, side="right")) - 1


def equal_error_rate(tpr: Float64Array, fpr: Float64Array) -> float:
    """Where the false positive rate meets the false negative rate, 1 - TPR, on the line between neighbouring edges."""
    excess = fpr - (1 - tpr)  # ascends from -1 to 1
    after = int(np.searchsorted(excess, 0.0))
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))


def curve_points(tpr: Float64Array, fpr: Float64Array) -> IntArray:
    """Which edges draw the curves, some hundreds at most: both sides of each step to another level, and the ends.

    Levels are equal steps of each rate, and equal steps of its logarithm where the rate of either error is small: the
    interesting end of an ROC is at false positive rates that a linear axis cannot show.
    """
    levels = [np.floor(rate * _LINEAR_STEPS) for rate in (tpr, fpr)]
    for error in (fpr, 1 - tpr):
        small = np.log10(np.maximum(error, _SMALLEST_RATE))
        levels.append(np.where(error > 0, np.floor(small * _STEPS_PER_DECADE), -np.inf))
    changes = np.zeros(len(tpr) - 1, np.bool_)
    for level in levels:
        changes |= level[1:] != level[:-1]
    kept: IntArray = np.flatnonzero(np.append(True, changes) | np.append(changes, True))
    return kept
