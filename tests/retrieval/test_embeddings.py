"""What a set of embeddings refuses, and how it says so."""

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings, normalise, require_distances


def _embeddings(vectors, pids=None, camids=None, paths=()):
    count = len(vectors)
    return Embeddings(
        np.asarray(vectors, np.float32),
        np.asarray([1] * count if pids is None else pids, np.int64),
        np.asarray([1] * count if camids is None else camids, np.int64),
        paths,
    )


def test_length_is_the_number_of_vectors_and_dim_their_width():
    embeddings = _embeddings([[1, 0, 2], [0, 1, 0]])
    assert (len(embeddings), embeddings.dim) == (2, 3)


def test_junk_is_refused_because_it_must_not_be_ranked():
    with pytest.raises(DataError, match="2 embeddings are labelled as junk"):
        _embeddings([[1, 0], [0, 1], [1, 1]], pids=[-1, 5, -1])


def test_distractors_are_accepted():
    assert len(_embeddings([[1, 0], [0, 1]], pids=[0, 0])) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_named_by_row_and_path(value):
    message = r"1 of 3 embeddings hold NaN or infinite numbers; the first is row 1 \(b.jpg\)"
    with pytest.raises(DataError, match=message):
        _embeddings([[1, 0], [0, value], [1, 1]], paths=("a.jpg", "b.jpg", "c.jpg"))


def test_a_zero_vector_has_no_direction_and_is_refused_where_it_is_normalised():
    good, zero = _embeddings([[0, 2], [0, 1]]), _embeddings([[0, 1], [0, 0]], paths=("a.jpg", "b.jpg"))
    with pytest.raises(DataError, match=r"1 of 2 embeddings are all zero; the first is gallery row 1 \(b.jpg\)"):
        require_distances(good, zero, l2_normalise=True)
    with pytest.raises(DataError, match="1 of 2 embeddings are all zero; the first is row 1"):
        normalise(zero.vectors)


def test_a_zero_vector_has_raw_distances_unless_there_is_nothing_else():
    good, zero = _embeddings([[0, 2]]), _embeddings([[0, 0]])
    require_distances(good, zero, l2_normalise=False)
    require_distances(zero, good, l2_normalise=False)
    with pytest.raises(DataError, match="all 1 query and 1 gallery embeddings are zero") as caught:
        require_distances(zero, zero, l2_normalise=False)
    assert "L2" not in str(caught.value)


@pytest.mark.parametrize("scale", [1e20, 1e19, 1e-16, 1e-25])
def test_raw_vectors_whose_squares_leave_float32_are_named_and_to_be_rescaled(scale):
    good, other = _embeddings([[3, 4], [1, 0]]), _embeddings([[1, 0], [3 * scale, 4 * scale]])
    with pytest.raises(DataError, match="outside 1e-30 to 1e\\+37; the first is query row 1") as caught:
        require_distances(other, good, l2_normalise=False)
    assert caught.value.fix.startswith("rescale")
    require_distances(other, good, l2_normalise=True)


@pytest.mark.parametrize("scale", [6e17, 2.1e-16])
def test_raw_vectors_just_inside_float32_are_accepted(scale):
    vectors = _embeddings([[3 * scale, 4 * scale]])  # squares 9e36 and 1.1e-30
    require_distances(vectors, vectors, l2_normalise=False)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4,), (2, 2, 2)])
def test_vectors_must_form_a_table_with_rows_and_columns(shape):
    labels = np.ones(shape[0], np.int64)
    with pytest.raises(DataError, match="embeddings of shape"):
        Embeddings(np.ones(shape, np.float32), labels, labels)


@pytest.mark.parametrize(
    ("pids", "camids", "paths"),
    [([1], [1, 1], ()), ([1, 1], [1, 1, 1], ()), ([1, 1], [1, 1], ("only one.jpg",))],
)
def test_columns_of_different_lengths_are_refused(pids, camids, paths):
    with pytest.raises(DataError, match="each vector needs exactly one of each"):
        _embeddings([[1, 0], [0, 1]], pids, camids, paths)


def test_normalise_of_3_4_is_three_fifths_and_four_fifths():
    np.testing.assert_allclose(normalise(np.array([[3, 4]], np.float32)), [[0.6, 0.8]], rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_normalise_survives_lengths_whose_squares_do_not_fit_float32(scale):
    np.testing.assert_allclose(normalise(np.array([[3, 4]], np.float32) * np.float32(scale)), [[0.6, 0.8]], rtol=1e-6)
