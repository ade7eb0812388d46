"""Bootstrap intervals over identities: cases one can enumerate, and what they must not claim."""

import json
import math

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.intervals import bootstrap_intervals, paired_difference
from tests import oracles


def _interval(values, pids, **options):
    return bootstrap_intervals({"mAP": np.asarray(values, float)}, np.asarray(pids), **options)["mAP"]


def test_two_people_at_0_and_1_give_an_interval_from_0_to_1():
    assert _interval([0.0, 1.0], [3, 8]) == (0.0, 1.0)  # a quarter of all draws takes one of them twice


def test_equal_values_give_an_interval_of_no_width():
    assert _interval([0.25, 0.25, 0.25, 0.25], [1, 1, 2, 3]) == (0.25, 0.25)


def test_the_interval_equals_that_over_every_possible_draw():
    values, pids = [0.1, 0.3, 0.9, 0.6, 0.2, 0.8, 0.75, 0.4], [1, 1, 2, 3, 3, 4, 5, 5]
    assert _interval(values, pids, resamples=20_000) == pytest.approx(
        oracles.bootstrap_interval(values, pids), abs=0.01
    )


def test_more_pictures_of_the_same_people_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    values, pids = rng.random(40), np.arange(40)
    assert _interval(np.tile(values, 25), np.tile(pids, 25)) == pytest.approx(_interval(values, pids))


def test_more_people_narrow_the_interval_as_the_square_root_of_their_number():
    rng = np.random.default_rng(1)
    widths = [np.ptp(_interval(rng.random(people), np.arange(people))) for people in (100, 1600)]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.15)


def test_the_interval_holds_the_true_mean_in_about_95_of_100_experiments():
    rng = np.random.default_rng(2)
    held = 0
    for trial in range(300):
        person = rng.normal(size=60)  # queries of one person resemble each other
        pids = np.repeat(np.arange(60), 4)
        low, high = _interval(person[pids] + rng.normal(size=240), pids, resamples=400, seed=trial)
        held += low <= 0 <= high
    assert 0.90 <= held / 300 <= 0.985


def test_a_query_without_a_value_is_left_out():
    assert _interval([0.5, math.nan, 0.7, math.nan], [1, 1, 2, 3]) == _interval([0.5, 0.7], [1, 2])


def test_one_seed_gives_one_interval_and_all_figures_share_the_draws():
    rng = np.random.default_rng(3)
    values, pids = rng.random(50), rng.integers(0, 20, 50)
    both = bootstrap_intervals({"mAP": values, "twice": 2 * values}, pids, seed=7)
    assert both["mAP"] == _interval(values, pids, seed=7)
    assert both["twice"] == pytest.approx([2 * end for end in both["mAP"]])
    assert both["mAP"] != _interval(values, pids, seed=8)


def test_many_identities_are_drawn_in_blocks_of_resamples(monkeypatch):
    rng = np.random.default_rng(4)
    values, pids = rng.random(300), np.arange(300)
    whole = _interval(values, pids, resamples=500)
    monkeypatch.setattr("reid.retrieval.intervals._LARGEST_BLOCK", 1000)
    assert _interval(values, pids, resamples=500) == pytest.approx(whole)


@pytest.mark.parametrize(("pids", "resamples"), [([1, 2], 0), ([4, 4], 1000)])
def test_no_resamples_or_a_single_person_give_no_interval(pids, resamples):
    assert bootstrap_intervals({"mAP": np.array([0.5, 0.6])}, np.array(pids), resamples=resamples) == {}


def test_a_constant_gain_is_certain_however_much_the_queries_differ():
    b = np.linspace(0.1, 0.8, 30)
    result = paired_difference(b + 0.125, b, np.arange(30))
    assert (result.difference, result.low, result.high) == pytest.approx((0.125, 0.125, 0.125))
    assert (result.a_wins, result.b_wins, result.probability_of_no_gain) == (30, 0, 0.0)
    assert result.p_value == pytest.approx(2 / 1001)
    assert result.mean_a - result.mean_b == pytest.approx(result.difference)


def test_two_equal_models_differ_in_nothing():
    values = np.linspace(0.1, 0.8, 30)
    result = paired_difference(values, values.copy(), np.arange(30))
    assert (result.difference, result.low, result.high) == (0.0, 0.0, 0.0)
    assert (result.a_wins, result.b_wins, result.p_value, result.probability_of_no_gain) == (0, 0, 1.0, 1.0)


def test_turning_the_comparison_round_turns_the_sign():
    rng = np.random.default_rng(5)
    a, b, pids = rng.random(80), rng.random(80), rng.integers(0, 30, 80)
    there, back = paired_difference(a, b, pids), paired_difference(b, a, pids)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert (back.a_wins, back.b_wins) == (there.b_wins, there.a_wins)
    assert back.p_value == there.p_value


def test_queries_that_one_model_does_not_score_are_left_out_of_the_comparison():
    result = paired_difference(np.array([0.5, math.nan, 1.0]), np.array([0.25, 0.5, math.nan]), np.array([1, 2, 3]))
    assert (result.num_queries, result.num_identities, result.difference) == (1, 1, 0.25)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["p_value"] is None  # one person: no interval


def test_no_query_scored_by_both_is_an_error():
    with pytest.raises(DataError, match="none of 2 queries is scored by both runs"):
        paired_difference(np.array([0.5, math.nan]), np.array([math.nan, 0.5]), np.array([1, 2]))
