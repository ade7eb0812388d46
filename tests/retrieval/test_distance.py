"""Blocks of distances against the full matrix computed by loops."""

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.distance import EuclideanDistance
from reid.retrieval.embeddings import Embeddings
from tests import oracles


def _embeddings(vectors):
    ones = np.ones(len(vectors), np.int64)
    return Embeddings(np.asarray(vectors, np.float32), ones, ones)


def test_distance_from_origin_side_to_3_4_is_the_squared_length():
    distances = EuclideanDistance(_embeddings([[1, 1]]), _embeddings([[1, 1], [4, 5]]), l2_normalise=False)
    assert distances.rows(0, 1).tolist() == [[0.0, 25.0]]


def test_normalised_distance_is_0_for_same_2_for_right_angle_and_4_for_opposite_directions():
    distances = EuclideanDistance(_embeddings([[5, 0]]), _embeddings([[9, 0], [0, 3], [-2, 0]]))
    np.testing.assert_allclose(distances.rows(0, 1), [[0, 2, 4]], atol=1e-6)


@pytest.mark.parametrize("l2_normalise", [True, False])
def test_rows_equal_the_full_matrix_of_the_oracle(l2_normalise):
    rng = np.random.default_rng(3)
    query, gallery = rng.normal(size=(7, 16)), rng.normal(size=(11, 16))
    distances = EuclideanDistance(_embeddings(query), _embeddings(gallery), l2_normalise=l2_normalise)
    expected = np.array(oracles.squared_distances(query, gallery, l2_normalise=l2_normalise))
    np.testing.assert_allclose(distances.rows(0, 7), expected, atol=1e-5)
    np.testing.assert_allclose(distances.rows(2, 5), expected[2:5], atol=1e-5)
    assert (distances.num_queries, distances.num_gallery) == (7, 11)


def test_tensors_on_another_device_give_the_same_distances():
    rng = np.random.default_rng(4)
    sides = _embeddings(rng.normal(size=(4, 8))), _embeddings(rng.normal(size=(5, 8)))
    host, device = EuclideanDistance(*sides), EuclideanDistance(*sides, device="cpu:0")  # torch's CPU, as a device
    np.testing.assert_allclose(device.rows(1, 3).numpy(), host.rows(1, 3), atol=1e-6)
    assert device.largest == host.largest == 4.0


def test_rounding_never_makes_a_distance_negative():
    vectors = np.random.default_rng(5).normal(size=(60, 256))
    distances = EuclideanDistance(_embeddings(vectors), _embeddings(vectors))
    assert float(distances.rows(0, 60).min()) >= 0.0


def test_rows_may_be_written_into_without_changing_later_ones():
    distances = EuclideanDistance(_embeddings([[1, 2]]), _embeddings([[2, 1], [0, 1]]))
    before = distances.rows(0, 1).copy()
    distances.rows(0, 1).fill(-7.0)
    np.testing.assert_array_equal(distances.rows(0, 1), before)


def test_no_distance_is_beyond_the_largest():
    rng = np.random.default_rng(6)
    sides = _embeddings(rng.normal(size=(30, 2))), _embeddings(-7 * rng.normal(size=(30, 2)))
    distances = EuclideanDistance(*sides, l2_normalise=False)
    assert float(distances.rows(0, 30).max()) <= distances.largest * (1 + 1e-6)


def test_two_sides_of_different_dimension_are_refused():
    with pytest.raises(DataError, match="query embeddings have 3 numbers, gallery embeddings 2"):
        EuclideanDistance(_embeddings([[1, 2, 3]]), _embeddings([[1, 2]]))


def test_the_name_tells_whether_vectors_were_normalised():
    side = _embeddings([[1, 2]])
    assert EuclideanDistance(side, side).name == "euclidean_l2_normalised"
    assert EuclideanDistance(side, side, l2_normalise=False).name == "euclidean"


@pytest.mark.parametrize("l2_normalise", [True, False])
def test_vectors_far_from_the_origin_and_near_each_other_keep_their_distances(l2_normalise):
    rng = np.random.default_rng(6)
    offset = 900 * rng.normal(size=64)
    query, gallery = ((rng.normal(size=(n, 64)) + offset).astype(np.float32) for n in (9, 50))
    distances = EuclideanDistance(_embeddings(query), _embeddings(gallery), l2_normalise=l2_normalise)
    wide = query.astype(np.float64), gallery.astype(np.float64)
    expected = np.array(oracles.squared_distances(*wide, l2_normalise=l2_normalise))
    # normalised, these vectors are 1e-7 of a step of float32 apart, which no later care gives back
    np.testing.assert_allclose(distances.rows(0, 9), expected, rtol=5e-3 if l2_normalise else 1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 7.3])
def test_the_largest_raw_distance_is_a_power_of_two_above_all(scale):
    rng = np.random.default_rng(7)
    sides = [_embeddings(scale * rng.normal(size=(n, 8))) for n in (5, 9)]
    distances = EuclideanDistance(*sides, l2_normalise=False)
    assert distances.rows(0, 5).max() < distances.largest
    assert np.log2(distances.largest) % 1 == 0
