"""Error rates of a threshold, by hand and by trying every threshold; what is written and read back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.error_rates import curve_points, equal_error_rate
from reid.retrieval.ranking import HISTOGRAM_BINS, Ranking
from reid.retrieval.verification import FALSE_POSITIVE_RATES, Verification, verify
from tests import oracles
from tests.retrieval.scenes import at_ranks, on_a_line, scattered

BIN = 4 / HISTOGRAM_BINS


def _counted(same, different) -> Ranking:
    """A ranking whose pairs stand at these distances of [0, 4)."""
    different = np.bincount((np.asarray(different) / BIN).astype(int), minlength=HISTOGRAM_BINS)
    ranking = on_a_line([(1, 7, 2)]).rank()
    return replace(ranking, match_distances=np.asarray(same, np.float32), different=different, largest_distance=4.0)


def _verified(ranking: Ranking) -> Verification:
    figures = verify(ranking)
    assert figures is not None
    return figures


def test_same_people_nearer_than_all_others_are_told_apart_without_error():
    figures = _verified(_counted([0.5, 0.75], [1.5, 2.0, 3.0]))
    assert (figures.num_same, figures.num_different) == (2, 3)
    assert figures.equal_error_rate == 0.0
    assert figures.tpr_at == {0.01: 1.0, 0.001: 1.0, 0.0001: 1.0}
    assert 0.75 < figures.suggested_threshold <= 1.5 + BIN
    assert (figures.suggested_tpr, figures.suggested_fpr) == (1.0, 0.0)


def test_one_of_two_misplaced_on_each_side_is_an_equal_error_rate_of_a_half():
    assert _verified(_counted([0.5, 2.5], [1.5, 3.5])).equal_error_rate == 0.5


def test_rates_that_no_threshold_makes_equal_meet_on_the_line_between_two():
    # Distances: same 0.5, both 1.5, different 2.5. From FPR 0, misses 1/2 to FPR 1/2, misses 0: they meet at 1/4.
    assert _verified(_counted([0.5, 1.5], [1.5, 2.5])).equal_error_rate == 0.25


def test_all_pairs_at_one_distance_are_guesswork():
    figures = _verified(_counted([1.0, 1.0, 1.0], [1.0, 1.0]))
    assert figures.equal_error_rate == 0.5
    assert set(figures.tpr_at.values()) == {0.0}
    np.testing.assert_allclose(figures.probability([0.2, 1.0, 3.0])[1], 0.5, atol=0.1)


def test_true_positive_rate_at_a_rate_is_read_at_the_largest_threshold_that_keeps_it():
    # 200 different pairs: FPR 1e-2 allows two of them below the threshold, 1e-3 none.
    different = [0.4, 0.6, 0.8, *np.full(197, 3.0)]
    figures = _verified(_counted([0.3, 0.5, 0.7, 0.9], different))
    assert figures.tpr_at == {0.01: 0.75, 0.001: 0.25, 0.0001: 0.25}


@pytest.mark.parametrize(
    ("pairs", "rule"), [(2_999, "equal_error_rate"), (3_000, "fpr_0.01"), (29_999, "fpr_0.01"), (30_000, "fpr_0.001")]
)
def test_the_suggested_rule_is_the_strictest_with_30_pairs_behind_its_errors(pairs, rule):
    rng = np.random.default_rng(0)
    figures = _verified(_counted(rng.uniform(0, 2, 500), rng.uniform(1, 3, pairs)))
    assert figures.suggested_rule == rule
    if rule != "equal_error_rate":
        allowed = float(rule.removeprefix("fpr_"))
        assert 0.5 * allowed < figures.suggested_fpr <= allowed


def test_without_a_same_or_a_different_pair_there_is_nothing_to_verify():
    assert verify(on_a_line([(1, 9, 2)]).rank()) is None
    assert verify(on_a_line([(1, 7, 2)]).rank()) is None


def test_excluded_pairs_are_neither_same_nor_different():
    figures = _verified(on_a_line([(1, 7, 1), (2, 7, 2), (3, 9, 1), (4, 0, 2)]).rank())
    assert (figures.num_same, figures.num_different) == (1, 2)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_rate_equals_counting_the_pairs_below_the_threshold(seed, ties):
    scene = scattered(seed, ties=ties)
    ranking = scene.rank(top_k=len(scene.gallery))
    pairs = list(zip(ranking.top_distances.ravel(), ranking.top_matches.ravel(), strict=True))
    same = [float(distance) for distance, match in pairs if match]
    different = [float(distance) for distance, match in pairs if not match and np.isfinite(distance)]
    figures = _verified(ranking)
    assert (figures.num_same, figures.num_different) == (len(same), len(different))
    for threshold, tpr, fpr in zip(
        figures.thresholds, figures.true_positive_rate, figures.false_positive_rate, strict=True
    ):
        assert tpr == pytest.approx(oracles.accepted(same, threshold), rel=1e-12)
        assert fpr == pytest.approx(oracles.accepted(different, threshold), rel=1e-12)
    edges = np.linspace(0, ranking.largest_distance, HISTOGRAM_BINS + 1)
    near = sorted({edge for d in same + different for edge in edges[(edges > d - 1e-9)][:1]} | {edges[0], edges[-1]})
    assert figures.equal_error_rate == pytest.approx(oracles.equal_error_rate(same, different, near), abs=1e-12)
    for rate in FALSE_POSITIVE_RATES:
        expected = oracles.true_positive_rate_at(same, different, rate, near)
        assert figures.tpr_at[rate] == pytest.approx(expected, rel=1e-12)


@given(seed=st.integers(0, 10_000))
def test_doubling_each_gallery_image_changes_no_rate(seed):
    scene = scattered(seed, ties=True)
    gallery = Embeddings(
        *(np.repeat(part, 2, axis=0) for part in (scene.gallery.vectors, scene.gallery.pids, scene.gallery.camids))
    )
    one, two = (verify(each.rank()) for each in (scene, replace(scene, gallery=gallery)))
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        assert (two.num_same, two.num_different) == (2 * one.num_same, 2 * one.num_different)
        np.testing.assert_allclose(two.true_positive_rate, one.true_positive_rate)
        np.testing.assert_allclose(two.false_positive_rate, one.false_positive_rate)
        assert two.equal_error_rate == pytest.approx(one.equal_error_rate)


def test_the_kept_curve_starts_at_nobody_ends_at_everybody_and_misses_no_step():
    rng = np.random.default_rng(1)
    figures = _verified(_counted(rng.normal(1.0, 0.2, 20_000).clip(0, 3.9), rng.normal(1.8, 0.2, 400_000).clip(0, 3.9)))
    for rate in (figures.true_positive_rate, figures.false_positive_rate):
        assert (rate[0], rate[-1]) == (0.0, 1.0)
        assert (np.diff(rate) >= 0).all()
        assert np.diff(rate).max() < 1 / 30
    small = figures.false_positive_rate[figures.false_positive_rate > 1e-5]
    assert (small[1:] / small[:-1]).max() < 1.5
    assert (np.diff(figures.thresholds) > 0).all()


def test_a_curve_of_every_edge_is_cut_to_some_hundreds_of_points():
    tpr = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    assert len(curve_points(tpr, tpr**4)) < 700


def test_the_equal_error_rate_of_a_straight_curve_through_the_middle_is_a_half():
    line = np.linspace(0, 1, 12)
    assert equal_error_rate(line, line) == pytest.approx(0.5)


def test_histograms_count_every_pair_in_at_most_100_bars():
    rng = np.random.default_rng(2)
    figures = _verified(_counted(rng.uniform(0.5, 1.5, 1_000), rng.uniform(1, 2.5, 5_000)))
    assert figures.same_histogram.sum() == 1_000
    assert figures.different_histogram.sum() == 5_000
    assert len(figures.same_histogram) == len(figures.histogram_edges) - 1 <= 100
    assert figures.histogram_edges[0] == pytest.approx(0.5, abs=0.01)
    assert figures.histogram_edges[-1] == pytest.approx(2.5, abs=0.03)
    assert figures.different_histogram[figures.histogram_edges[1:] < 1].sum() == 0


def test_what_is_written_reads_back_equal_and_is_small():
    rng = np.random.default_rng(3)
    figures = _verified(_counted(rng.normal(1.0, 0.3, 50_000).clip(0, 3.9), rng.normal(1.8, 0.3, 900_000).clip(0, 3.9)))
    text = json.dumps(figures.to_dict(), indent=2, allow_nan=False)
    assert len(text) < 60_000
    back = Verification.from_dict(json.loads(text))
    assert back.to_dict() == figures.to_dict()
    distances = np.linspace(0, 4, 50)
    np.testing.assert_array_equal(back.probability(distances), figures.probability(distances))


@pytest.mark.parametrize("broken", [{}, {"thresholds": "near"}, {"tpr_at": 0.5}, {"num_same": None}])
def test_a_file_of_something_else_is_an_error_that_says_what_it_needs(broken):
    good = _verified(at_ranks(1, size=3).rank()).to_dict()
    with pytest.raises(DataError, match="verification figures that cannot be read") as caught:
        Verification.from_dict({**good, **broken} if broken else {})
    assert "equal_error_rate" in caught.value.why
    assert "verification.json" in caught.value.fix


def test_probability_falls_with_distance_and_is_never_certain():
    rng = np.random.default_rng(4)
    figures = _verified(_counted(rng.uniform(0, 1.5, 300), rng.uniform(1, 3, 3_000)))
    values = figures.probability(np.linspace(-1, 10, 500))
    assert (np.diff(values) <= 0).all()
    assert 0 < values[-1] < 0.01
    assert 0.99 < values[0] < 1


def test_probability_is_that_of_two_known_distributions():
    # Two normal distributions of equal width: the log odds fall in a straight line and are 0 half way.
    rng = np.random.default_rng(5)
    figures = _verified(
        _counted(rng.normal(1.0, 0.2, 300_000).clip(0, 3.9), rng.normal(1.4, 0.2, 300_000).clip(0, 3.9))
    )
    distances = np.linspace(0.7, 1.7, 41)
    true = 1 / (1 + np.exp((distances - 1.2) * 0.4 / 0.2**2))
    np.testing.assert_allclose(figures.probability(distances), true, atol=0.02)


def test_a_prior_multiplies_the_odds():
    figures = _verified(_counted([0.5, 1.0, 1.5], [1.0, 1.5, 2.0, 2.5]))
    even, rare = (figures.probability([0.6, 1.2, 2.2], prior=prior) for prior in (0.5, 0.01))
    np.testing.assert_allclose(rare / (1 - rare), even / (1 - even) / 99)


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.5, float("nan")])
def test_a_certain_prior_is_an_error(prior):
    with pytest.raises(DataError, match="prior"):
        _verified(_counted([0.5], [1.0])).probability([0.6], prior=prior)
