"""Figures one can count by hand, and random rankings against the oracles."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.metrics import (
    average_precision,
    cmc,
    first_match_rank,
    inverse_negative_penalty,
    measure,
)
from tests import oracles
from tests.retrieval.scenes import Scene, at_ranks, on_a_line, scattered


def test_average_precision_of_hits_at_ranks_1_and_3_is_five_sixths():
    assert average_precision(at_ranks(1, 3, size=6).rank()).tolist() == pytest.approx([5 / 6])


def test_average_precision_of_one_hit_at_rank_4_is_a_quarter():
    assert average_precision(at_ranks(4, size=9).rank()).tolist() == pytest.approx([0.25])


def test_average_precision_is_1_when_all_hits_come_first():
    assert average_precision(at_ranks(1, 2, 3, size=9).rank()).tolist() == [1.0]


def test_average_precision_reads_the_whole_gallery_and_not_only_the_kept_places():
    scene = at_ranks(1, 40, size=50)
    assert average_precision(scene.rank(top_k=1)).tolist() == pytest.approx([(1 + 2 / 40) / 2])


def test_trapezoid_of_hits_at_ranks_1_and_3_halves_the_precision_before_and_at_each():
    # Precision before and at rank 1: 1 and 1. Before and at rank 3: 1/2 and 2/3.
    expected = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    assert average_precision(at_ranks(1, 3, size=6).rank(), form="trapezoid").tolist() == pytest.approx([expected])


def test_trapezoid_of_one_hit_at_rank_4_is_an_eighth():
    assert average_precision(at_ranks(4, size=9).rank(), form="trapezoid").tolist() == pytest.approx([0.125])


def test_both_forms_are_1_when_all_hits_come_first():
    assert average_precision(at_ranks(1, 2, 3, size=9).rank(), form="trapezoid").tolist() == [1.0]


def test_inverse_negative_penalty_of_hits_at_1_and_8_is_a_quarter():
    assert inverse_negative_penalty(at_ranks(1, 8, size=9).rank()).tolist() == pytest.approx([2 / 8])


def test_first_match_rank_is_the_smallest_of_the_ranks():
    assert first_match_rank(at_ranks(3, 5, size=5).rank()).tolist() == [3.0]


def test_cmc_steps_from_0_to_1_at_the_first_hit():
    assert cmc(at_ranks(3, 5, size=6).rank(), max_rank=5).tolist() == [0, 0, 1, 1, 1]


def test_cmc_of_two_queries_climbs_in_halves():
    ranking = on_a_line([(1, 7, 2), (2, 8, 2), (3, 9, 2)], query=[(7, 1), (9, 1)]).rank()
    assert cmc(ranking, max_rank=4).tolist() == [0.5, 0.5, 1.0, 1.0]


def test_cmc_longer_than_the_gallery_repeats_its_last_value():
    assert cmc(at_ranks(2, size=3).rank(), max_rank=50).tolist() == [0.0] + [1.0] * 49


def test_a_short_cmc_does_not_make_an_early_rank_of_rank_10():
    metrics = measure(at_ranks(8, size=9).rank(), max_rank=3)
    assert metrics.figures() == {
        "cmc_rank_1": 0.0,
        "cmc_rank_5": 0.0,
        "cmc_rank_10": 1.0,  # found at rank 8, beyond the 3
        "mAP": 1 / 8,
        "mINP": 1 / 8,
    }


def test_a_gallery_of_fewer_than_10_images_has_a_rank_10():
    metrics = measure(at_ranks(2, size=3).rank(), max_rank=3)
    assert metrics.figures() == {"cmc_rank_1": 0.0, "cmc_rank_5": 1.0, "cmc_rank_10": 1.0, "mAP": 0.5, "mINP": 0.5}


def test_a_query_without_match_counts_nowhere():
    ranking = on_a_line([(1, 9, 2), (2, 7, 2)], query=[(7, 1), (5, 1)]).rank()
    metrics = measure(ranking, max_rank=2)
    assert (metrics.num_queries, metrics.num_scored) == (2, 1)
    assert (metrics.cmc.tolist(), metrics.mean_ap, metrics.mean_inp) == ([0.0] + [1.0] * 9, 0.5, 0.5)
    assert np.isnan(average_precision(ranking)).tolist() == [False, True]
    assert np.isnan(inverse_negative_penalty(ranking)).tolist() == [False, True]
    assert np.isnan(first_match_rank(ranking)).tolist() == [False, True]


def test_one_camera_for_everybody_is_an_error_that_speaks_of_cameras():
    scene = on_a_line([(1, 7, 1), (2, 9, 1)], query=[(7, 1), (9, 1)])
    with pytest.raises(DataError, match="no query has a match in the gallery: 2 queries") as caught:
        measure(scene.rank())
    assert "at least two cameras" in caught.value.fix


def test_without_an_exclusion_rule_the_error_does_not_speak_of_cameras():
    with pytest.raises(DataError, match="no gallery image shows a query's identity") as caught:
        measure(on_a_line([(1, 9, 1)]).rank(exclude="none"))
    assert "camera" not in str(caught.value)


def test_one_camera_for_everybody_is_scored_when_nothing_is_left_out():
    metrics = measure(on_a_line([(1, 9, 1), (2, 7, 1)]).rank(exclude="none"), max_rank=3)
    assert (metrics.cmc.tolist(), metrics.mean_ap) == ([0.0] + [1.0] * 9, 0.5)


def test_figures_are_plain_numbers_of_full_precision():
    figures = measure(at_ranks(1, 3, size=6).rank()).figures()
    assert figures["mAP"] == pytest.approx(5 / 6, rel=1e-15)
    assert {type(value) for value in figures.values()} == {float}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_figures_equal_the_oracle(seed, ties):
    scene = scattered(seed, ties=ties)
    _assert_equals_oracle(scene, max_rank=10)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_trapezoid_equals_the_first_market_1501_program(seed, ties):
    scene = scattered(seed, ties=ties)
    ranking = scene.rank()
    values = average_precision(ranking, form="trapezoid")
    expected = [oracles.market_1501_average_precision([hit for _, hit in row]) for row in scene.oracle_lists()]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert measure(ranking, form="trapezoid").mean_ap == pytest.approx(np.nanmean(expected), rel=1e-12)
    assert (values <= average_precision(ranking))[~np.isnan(values)].all()


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_scikit_learn_where_no_distances_tie(seed):
    scene = scattered(seed)
    values = average_precision(scene.rank())
    for value, candidates in zip(values, scene.oracle_lists(), strict=True):
        matches = [hit for _, hit in candidates]
        if any(matches):
            assert value == pytest.approx(average_precision_score(matches, np.arange(len(matches), 0, -1)))


@given(seed=st.integers(0, 10_000), queries=st.integers(1, 8), gallery=st.integers(1, 25), max_rank=st.integers(1, 30))
def test_figures_equal_the_oracle_for_any_size(seed, queries, gallery, max_rank):
    scene = scattered(seed, queries=queries, gallery=gallery, ties=True)
    if scene.rank().num_matches.any():
        _assert_equals_oracle(scene, max_rank=max_rank)


@given(seed=st.integers(0, 10_000))
def test_permuting_the_gallery_changes_no_figure(seed):
    scene = scattered(seed, ties=True)
    order = np.random.default_rng(seed).permutation(len(scene.gallery))
    turned = Embeddings(scene.gallery.vectors[order], scene.gallery.pids[order], scene.gallery.camids[order])
    _assert_same_figures(scene, replace(scene, gallery=turned))


@given(seed=st.integers(0, 10_000), smallest=st.floats(1e-6, 1.0), largest=st.floats(1.0, 1e6))
def test_scaling_each_vector_changes_no_figure_when_vectors_are_l2_normalised(seed, smallest, largest):
    scene = scattered(seed)
    rng = np.random.default_rng(seed)
    query, gallery = (
        replace(side, vectors=(side.vectors * rng.uniform(smallest, largest, (len(side), 1))).astype(np.float32))
        for side in (scene.query, scene.gallery)
    )
    _assert_same_figures(scene, replace(scene, query=query, gallery=gallery))


@given(seed=st.integers(0, 10_000))
def test_doubling_each_gallery_image_moves_rank_k_to_2k_minus_1_and_keeps_minp(seed):
    # w wrong images before the first hit become 2w, so rank w + 1 becomes 2w + 1; R hits up to rank r, 2R up to 2r.
    scene = scattered(seed, ties=True)
    gallery = Embeddings(*(np.repeat(part, 2, axis=0) for part in _columns(scene.gallery)))
    one, two = measure(scene.rank(), max_rank=20), measure(replace(scene, gallery=gallery).rank(), max_rank=40)
    np.testing.assert_array_equal(two.cmc[0::2], one.cmc)
    np.testing.assert_array_equal(two.cmc[1::2], one.cmc)
    assert two.mean_inp == pytest.approx(one.mean_inp, rel=1e-12)


@given(seed=st.integers(0, 10_000))
def test_every_figure_is_a_fraction_and_the_cmc_never_falls(seed):
    metrics = measure(scattered(seed, ties=True).rank(), max_rank=40)
    assert (np.diff(metrics.cmc) >= 0).all()
    assert metrics.cmc[-1] == 1.0
    assert all(0.0 <= value <= 1.0 for value in metrics.figures().values())


def _columns(side: Embeddings) -> tuple[np.ndarray, ...]:
    return side.vectors, side.pids, side.camids


def _assert_equals_oracle(scene: Scene, *, max_rank: int) -> None:
    lists = [[hit for _, hit in candidates] for candidates in scene.oracle_lists()]
    expected = oracles.figures(lists, max_rank=max(max_rank, 10))
    metrics = measure(scene.rank(), max_rank=max_rank)
    np.testing.assert_allclose(metrics.cmc, expected["cmc"], rtol=1e-12)
    assert metrics.mean_ap == pytest.approx(expected["mAP"], rel=1e-12)
    assert metrics.mean_inp == pytest.approx(expected["mINP"], rel=1e-12)


def _assert_same_figures(first: Scene, second: Scene) -> None:
    one, other = (measure(scene.rank(), max_rank=20) for scene in (first, second))
    np.testing.assert_array_equal(one.cmc, other.cmc)
    assert (one.mean_ap, one.mean_inp) == (other.mean_ap, other.mean_inp)
