"""Sparse k-reciprocal re-ranking against the dense definition."""

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.distance import EuclideanDistance
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.metrics import measure
from reid.retrieval.ranking import rank
from reid.retrieval.rerank import KReciprocalDistance
from tests import oracles


def _embeddings(vectors, pids=None):
    ones = np.ones(len(vectors), np.int64)
    return Embeddings(np.asarray(vectors, np.float32), ones if pids is None else np.asarray(pids, np.int64), ones)


def _crowd(seed, queries, gallery, dim=8, people=6):
    """Vectors that cluster around a few people, as embeddings do."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, dim))
    pids = rng.integers(0, people, queries + gallery)
    vectors = (centres[pids] + 0.6 * rng.normal(size=(queries + gallery, dim))).astype(np.float32)
    return vectors[:queries], vectors[queries:], pids


@pytest.mark.parametrize(
    ("k1", "k2", "lambda_value"),
    [(20, 6, 0.3), (5, 3, 0.3), (7, 1, 0.0), (6, 2, 1.0), (3, 2, 0.5), (1, 1, 0.3), (4, 9, 0.3), (200, 6, 0.3)],
)
def test_sparse_distances_equal_the_dense_definition(k1, k2, lambda_value):
    query, gallery, _ = _crowd(k1 + k2, queries=9, gallery=45)
    distances = KReciprocalDistance(_embeddings(query), _embeddings(gallery), k1=k1, k2=k2, lambda_value=lambda_value)
    expected = oracles.k_reciprocal(query, gallery, k1=k1, k2=k2, lambda_value=lambda_value)
    np.testing.assert_allclose(distances.rows(0, 9), expected, atol=2e-6)


def test_block_size_changes_no_distance():
    query, gallery, _ = _crowd(1, queries=12, gallery=60)
    whole = KReciprocalDistance(_embeddings(query), _embeddings(gallery)).rows(0, 12)
    blocks = KReciprocalDistance(_embeddings(query), _embeddings(gallery), memory_bytes=5 * 72 * 5)
    rows = np.concatenate([blocks.rows(start, min(start + 5, 12)) for start in (0, 5, 10)])
    np.testing.assert_allclose(rows, whole, atol=1e-6)


def test_a_memory_too_small_for_one_point_is_refused():
    query, gallery, _ = _crowd(1, queries=12, gallery=60)
    with pytest.raises(DataError, match=r"evaluate\.memory_gb"):
        KReciprocalDistance(_embeddings(query), _embeddings(gallery), memory_bytes=5 * 72 - 1)


def test_tensors_on_another_device_give_the_same_distances():
    query, gallery, _ = _crowd(4, queries=9, gallery=70)
    sides = _embeddings(query), _embeddings(gallery)
    host = KReciprocalDistance(*sides, k1=8, k2=3).rows(2, 9)
    device = KReciprocalDistance(*sides, k1=8, k2=3, device="cpu:0").rows(2, 9)  # torch's CPU, as a device
    np.testing.assert_allclose(device.numpy(), host, atol=2e-6)


@pytest.mark.parametrize("threads", [1, 3, 64])
def test_the_number_of_threads_changes_nothing(monkeypatch, threads):
    query, gallery, _ = _crowd(5, queries=9, gallery=70)
    one = KReciprocalDistance(_embeddings(query), _embeddings(gallery)).rows(0, 9)
    monkeypatch.setattr("reid.retrieval.threads.thread_count", lambda: threads)
    several = KReciprocalDistance(_embeddings(query), _embeddings(gallery)).rows(0, 9)
    np.testing.assert_array_equal(several, one)


def test_lambda_1_ranks_as_the_original_distance_does():
    query, gallery, _ = _crowd(2, queries=6, gallery=30)
    sides = _embeddings(query), _embeddings(gallery)
    reranked = KReciprocalDistance(*sides, lambda_value=1.0).rows(0, 6)
    original = EuclideanDistance(*sides).rows(0, 6)
    np.testing.assert_array_equal(reranked.argsort(axis=1), original.argsort(axis=1))


def test_distances_are_between_0_and_1():
    query, gallery, _ = _crowd(3, queries=10, gallery=50)
    rows = KReciprocalDistance(_embeddings(query), _embeddings(gallery)).rows(0, 10)
    assert 0.0 <= float(rows.min()) <= float(rows.max()) <= 1.0


def test_neighbours_in_common_lift_a_match_that_the_plain_distance_misses():
    # The query's person walks along an arc in steps of 10 degrees. The far end of the arc, at 50 degrees, is farther
    # than a stranger at -45 degrees, but it is reached through the person's other images; the stranger has his own.
    def at(*degrees):
        return [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees]

    gallery = Embeddings(
        np.asarray(at(10, 20, 30, 40, 50, -45, -55, -65, -75), np.float32),
        np.array([1] * 5 + [2] * 4, np.int64),
        np.full(9, 2, np.int64),
    )
    query = Embeddings(np.asarray(at(0), np.float32), np.array([1], np.int64), np.array([1], np.int64))
    plain = measure(rank(EuclideanDistance(query, gallery), query, gallery))
    reranked = measure(rank(KReciprocalDistance(query, gallery, k1=4, k2=2), query, gallery))
    assert plain.mean_inp == pytest.approx(5 / 6)
    assert reranked.mean_inp == 1.0


def test_identical_images_in_large_numbers_still_have_distances():
    same = np.full((40, 4), 0.5, np.float32)
    rows = KReciprocalDistance(_embeddings(same[:3]), _embeddings(same[3:])).rows(0, 3)
    assert np.isfinite(rows).all()


def test_fewer_images_than_k1_are_enough_and_a_warning_gives_the_numbers(caplog):
    rows = KReciprocalDistance(_embeddings([[1, 0]]), _embeddings([[1, 0.1], [0, 1]])).rows(0, 1)
    assert float(rows[0, 0]) < float(rows[0, 1])
    assert "re_ranking.k1 is 20, and there are 3 points" in caplog.text


def test_two_sides_of_different_dimension_are_refused_as_without_reranking():
    with pytest.raises(DataError, match="query embeddings have 3 numbers, gallery embeddings 2"):
        KReciprocalDistance(_embeddings([[1, 2, 3]]), _embeddings([[1, 2]]))


def test_the_name_holds_the_parameters_and_the_original_distance():
    side = _embeddings([[1, 2], [2, 1]])
    name = KReciprocalDistance(side, side, k1=4, k2=2, lambda_value=0.25).name
    assert name == "k_reciprocal(k1=4, k2=2, lambda=0.25) of euclidean_l2_normalised"
