"""Isotonic regression by hand and against scikit-learn, and the curve that is built on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from reid.retrieval.calibration import calibrated_curve, falling_regression


def _fit(values, weights):
    starts, fitted = falling_regression(np.asarray(values, float), np.asarray(weights, float))
    return np.repeat(fitted, np.diff(np.append(starts, len(values))))


def test_a_rise_is_pooled_to_its_mean():
    assert _fit([3, 1, 2], [1, 1, 1]).tolist() == [3, 1.5, 1.5]


def test_a_pool_takes_in_what_its_mean_rises_above():
    assert _fit([3, 2, 1, 6], [1, 1, 1, 1]).tolist() == [3, 3, 3, 3]


def test_heavier_values_pull_a_pool_towards_them():
    assert _fit([1, 2], [3, 1]).tolist() == [1.25, 1.25]


def test_falling_values_stay():
    assert _fit([5, 3, 2], [1, 4, 2]).tolist() == [5, 3, 2]


@given(seed=st.integers(0, 10_000), size=st.integers(1, 60))
def test_the_fit_equals_that_of_scikit_learn(seed, size):
    rng = np.random.default_rng(seed)
    values, weights = rng.integers(0, 6, size) / 5, rng.uniform(0.01, 3, size)
    expected = IsotonicRegression(increasing=False).fit_transform(np.arange(size), values, sample_weight=weights)
    np.testing.assert_allclose(_fit(values, weights), expected, atol=1e-12)


def test_one_pair_at_each_wrong_end_keeps_the_curve_from_certainty():
    # Same pairs all in (0, 1], different pairs all in (1, 2]: 4 of the one kind, 9 of the other.
    thresholds, tpr, fpr = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])
    distances, values = calibrated_curve(thresholds, tpr, fpr, num_same=4, num_different=9)
    assert distances.tolist() == [0.5, 1.5]
    assert values == pytest.approx([1 / (1 + 1 / 9), (1 / 4) / (1 / 4 + 1)])


def test_empty_stretches_between_the_distances_have_no_point_of_their_own():
    thresholds = np.array([0.0, 1.0, 1.5, 3.0, 3.5, 4.0])
    tpr, fpr = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    assert calibrated_curve(thresholds, tpr, fpr, num_same=5, num_different=5)[0].tolist() == [1.25, 3.25]


def test_a_block_of_pooled_intervals_is_constant_between_the_middles_of_its_ends():
    thresholds = np.array([0.0, 1.0, 2.0, 3.0])
    tpr, fpr = np.array([0.0, 0.2, 0.6, 1.0]), np.array([0.0, 0.4, 0.6, 1.0])  # part of same pairs: 1/3, 2/3, 1/2
    distances, values = calibrated_curve(thresholds, tpr, fpr, num_same=10**9, num_different=10**9)
    assert distances.tolist() == [0.5, 2.5]
    assert values == pytest.approx([0.5, 0.5])
