"""One object with every figure of a ranking: its parts agree, and its JSON is plain."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.evaluation import Evaluation, evaluate_ranking
from tests.retrieval.scenes import Scene, at_ranks, on_a_line, scattered

FIGURES = ["cmc_rank_1", "cmc_rank_5", "cmc_rank_10", "mAP", "mINP"]


def _evaluated(scene: Scene, **options) -> Evaluation:
    return evaluate_ranking(scene.rank(), scene.query, scene.gallery, **options)


def test_headline_figures_are_means_of_the_scored_queries():
    evaluation = _evaluated(scattered(0))
    figures = evaluation.metrics.figures()
    for name, values in evaluation.per_query.by_figure().items():
        assert np.nanmean(values) == pytest.approx(figures[name])
        assert np.isnan(values).sum() == evaluation.metrics.num_queries - evaluation.metrics.num_scored


def test_a_query_without_match_has_no_value_and_is_counted_apart():
    evaluation = _evaluated(on_a_line([(1, 9, 2), (2, 7, 2)], query=[(7, 1), (5, 1)]))
    for values in evaluation.per_query.by_figure().values():
        assert np.isnan(values).tolist() == [False, True]
    assert evaluation.per_query.num_matches.tolist() == [1, 0]
    plain = evaluation.to_dict()
    assert (plain["queries"], plain["queries_scored"], plain["queries_without_match"]) == (2, 1, 1)


def test_the_form_of_average_precision_is_one_in_all_figures():
    evaluation = _evaluated(at_ranks(4, size=9), average_precision="trapezoid")
    assert evaluation.metrics.mean_ap == 0.125
    assert evaluation.per_query.average_precision.tolist() == [0.125]
    assert evaluation.camera_pairs.mean_ap.tolist() == [[0.125]]


def test_intervals_hold_their_figures_and_have_their_names():
    evaluation = _evaluated(scattered(1, queries=60, gallery=200))
    assert list(evaluation.intervals) == FIGURES
    figures = evaluation.metrics.figures()
    for name, (low, high) in evaluation.intervals.items():
        assert 0 <= low <= figures[name] <= high <= 1


def test_the_interval_of_map_is_over_identities():
    scene = on_a_line([(1, 7, 2), (2, 9, 2), (3, 9, 3)], query=[(7, 1), (9, 1), (9, 4)])
    # Person 7 has AP 1, both queries of person 9 have (1/2 + 2/3) / 2; a quarter of all draws takes one of them twice.
    assert _evaluated(scene).intervals["mAP"] == pytest.approx(((1 / 2 + 2 / 3) / 2, 1.0))


def test_one_seed_gives_one_evaluation():
    scene = scattered(2, queries=40)
    assert _evaluated(scene, seed=3).to_dict() == _evaluated(scene, seed=3).to_dict()
    assert _evaluated(scene, seed=3).intervals != _evaluated(scene, seed=4).intervals


def test_no_resamples_give_no_intervals():
    assert _evaluated(scattered(3), resamples=0).intervals == {}


def test_the_cmc_goes_as_far_as_asked_beyond_a_small_gallery():
    assert _evaluated(at_ranks(2, size=3), max_rank=12).metrics.cmc.tolist() == [0] + [1] * 11


def test_json_is_plain_even_where_figures_have_no_value():
    plain = _evaluated(at_ranks(1, size=1)).to_dict()  # no different pair, one identity
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert (plain["verification"], plain["intervals"]) == (None, {})
    assert {name: plain[name] for name in FIGURES} == dict.fromkeys(FIGURES, 1.0)


def test_json_names_the_verification_figures():
    summary = _evaluated(at_ranks(1, 3, size=6)).to_dict()["verification"]
    assert (summary["same_pairs"], summary["different_pairs"]) == (2, 4)
    assert {"equal_error_rate", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001", "tpr_at_fpr_0.0001"} <= summary.keys()
    assert {"suggested_threshold", "suggested_rule", "suggested_tpr", "suggested_fpr"} <= summary.keys()


def test_no_query_with_a_match_is_an_error():
    with pytest.raises(DataError, match="no query has a match"):
        _evaluated(on_a_line([(1, 9, 2)]))


@given(seed=st.integers(0, 10_000))
def test_permuting_the_gallery_changes_no_figure_at_all(seed):
    scene = scattered(seed, ties=True)
    order = np.random.default_rng(seed).permutation(len(scene.gallery))
    gallery = Embeddings(scene.gallery.vectors[order], scene.gallery.pids[order], scene.gallery.camids[order])
    one, two = (_evaluated(each, resamples=20) for each in (scene, Scene(scene.query, gallery)))
    assert one.metrics.figures() == two.metrics.figures()
    assert one.intervals == two.intervals
    np.testing.assert_allclose(one.camera_pairs.mean_ap, two.camera_pairs.mean_ap, rtol=1e-12)
    assert one.verification is not None
    assert two.verification is not None
    assert one.verification.to_dict() == two.verification.to_dict()


@given(seed=st.integers(0, 10_000), factor=st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**15]))
def test_scaling_all_vectors_by_a_power_of_two_changes_no_figure_at_all(seed, factor):
    scene = scattered(seed)
    query, gallery = (
        Embeddings((side.vectors * factor).astype(np.float32), side.pids, side.camids)
        for side in (scene.query, scene.gallery)
    )
    assert (
        _evaluated(scene, resamples=20).to_dict()
        == _evaluated(Scene(query, gallery, l2_normalise=True), resamples=20).to_dict()
    )
