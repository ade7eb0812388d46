"""Query expansion and database augmentation, by hand and against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.expansion import augment_gallery, expand_queries
from tests import oracles


def _side(vectors) -> Embeddings:
    numbers = np.arange(1, len(vectors) + 1)
    return Embeddings(np.asarray(vectors, np.float32), numbers, numbers + 10, tuple(f"{n}.jpg" for n in numbers))


def _random(seed: int, count: int, dim: int = 5) -> Embeddings:
    return _side(np.random.default_rng(seed).normal(size=(count, dim)))


def test_a_query_moves_half_way_to_its_one_nearest_image():
    expanded = expand_queries(_side([[1, 0]]), _side([[0, 1], [-1, 0]]), k=1)
    np.testing.assert_allclose(expanded.vectors, [[0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_lengths_of_vectors_do_not_weigh():
    expanded = expand_queries(_side([[100, 0]]), _side([[0, 0.01]]), k=1)
    np.testing.assert_allclose(expanded.vectors, [[0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_alpha_weighs_a_neighbour_by_the_power_of_its_cosine():
    expanded = expand_queries(_side([[1, 0]]), _side([[0.6, 0.8]]), k=1, alpha=2.0)
    mean = np.array([1 + 0.36 * 0.6, 0.36 * 0.8])
    np.testing.assert_allclose(expanded.vectors, [mean / np.linalg.norm(mean)], rtol=1e-6)


def test_alpha_0_is_the_plain_mean():
    query, gallery = _random(0, 4), _random(1, 20)
    np.testing.assert_array_equal(
        expand_queries(query, gallery, k=3, alpha=0.0).vectors, expand_queries(query, gallery, k=3).vectors
    )


def test_a_neighbour_at_more_than_a_right_angle_weighs_nothing_with_alpha():
    query = _side([[3, 4]])
    expanded = expand_queries(query, _side([[-3, -4], [-4, -3]]), k=2, alpha=3.0)
    np.testing.assert_allclose(expanded.vectors, [[0.6, 0.8]], rtol=1e-6)


def test_a_mean_that_points_nowhere_leaves_the_query_as_it_is():
    expanded = expand_queries(_side([[0.6, 0.8]]), _side([[-0.6, -0.8]]), k=1)
    np.testing.assert_allclose(expanded.vectors, [[0.6, 0.8]], rtol=1e-6)


def test_labels_and_paths_stay():
    query, gallery = _random(2, 3), _random(3, 9)
    for before, after in (
        (query, expand_queries(query, gallery, k=2)),
        (gallery, augment_gallery(gallery, k=2)),
    ):
        assert after.paths == before.paths
        np.testing.assert_array_equal(after.pids, before.pids)
        np.testing.assert_array_equal(after.camids, before.camids)


def test_no_image_is_its_own_neighbour_in_augmentation():
    augmented = augment_gallery(_side([[1, 0], [0, 1]]), k=1)
    np.testing.assert_allclose(augmented.vectors, np.full((2, 2), 0.5**0.5), rtol=1e-6)


def test_one_of_many_equal_images_is_averaged_with_the_others_and_stays():
    gallery = _side([[3, 4]] * 9 + [[-1, 0]])
    np.testing.assert_allclose(augment_gallery(gallery, k=3).vectors[:9], [[0.6, 0.8]] * 9, rtol=1e-6)


def test_a_gallery_of_one_image_is_only_normalised():
    np.testing.assert_allclose(augment_gallery(_side([[3, 4]]), k=5).vectors, [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("alpha", [None, 0.5, 3.0])
@pytest.mark.parametrize("k", [1, 4, 99])
def test_expansion_equals_plain_loops(k, alpha):
    query, gallery = _random(4, 7), _random(5, 30)
    expected = oracles.expanded(query.vectors, gallery.vectors, k=k, alpha=alpha)
    np.testing.assert_allclose(expand_queries(query, gallery, k=k, alpha=alpha).vectors, expected, atol=1e-6)


@pytest.mark.parametrize("k", [1, 4, 99])
def test_augmentation_equals_plain_loops(k):
    gallery = _random(6, 25)
    expected = oracles.expanded(gallery.vectors, gallery.vectors, k=k, alpha=None, others=True)
    np.testing.assert_allclose(augment_gallery(gallery, k=k).vectors, expected, atol=1e-6)


def test_block_size_changes_nothing_but_rounding():
    query, gallery = _random(7, 13), _random(8, 40)
    small, large = ({"k": 5, "memory_bytes": memory} for memory in (1, 2**30))
    for one, other in (
        (expand_queries(query, gallery, **small), expand_queries(query, gallery, **large)),
        (augment_gallery(gallery, **small), augment_gallery(gallery, **large)),
    ):
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-6)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 12))
def test_permuting_the_gallery_changes_no_expanded_query(seed, k):
    query, gallery = _random(seed, 3), _random(seed + 1, 10)
    turned = _side(gallery.vectors[np.random.default_rng(seed).permutation(10)])
    np.testing.assert_allclose(
        expand_queries(query, turned, k=k).vectors, expand_queries(query, gallery, k=k).vectors, atol=1e-6
    )


@pytest.mark.parametrize(
    ("work", "found"),
    [
        (lambda side: expand_queries(side, side, k=0), "evaluate.expansion_k is 0"),
        (lambda side: augment_gallery(side, k=0), "evaluate.augmentation_k is 0"),
        (lambda side: expand_queries(side, side, k=1, alpha=-1.0), "an alpha of -1"),
        (lambda side: expand_queries(side, _random(1, 4, dim=6), k=1), "query embeddings have 5 numbers"),
    ],
)
def test_settings_that_cannot_work_are_errors(work, found):
    with pytest.raises(DataError, match=found):
        work(_random(0, 4))
