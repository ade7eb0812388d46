"""The distance from which on a picture shows none of the classes."""

from __future__ import annotations

import numpy as np
import pytest

from reid.retrieval.embeddings import Embeddings
from reid.retrieval.open_set import measure_open_set
from tests import oracles


def test_the_threshold_stands_between_own_and_other_classes():
    """On a line: own references 0.1 away (squared 0.01), the other class 1 away or more."""
    gallery, query = _points([0, 10], [1, 2]), _points([0.1, 9.9], [1, 2])
    found = measure_open_set(query, gallery, l2_normalise=False)
    assert found is not None
    assert (found.known_accepted, found.unknown_accepted, found.queries) == (1.0, 0.0, 2)
    assert 0.01 < found.threshold <= 9.9**2


def test_in_a_wide_gap_the_threshold_stands_in_its_middle():
    gallery, query = _points([0, 10], [1, 2]), _points([1, 9], [1, 2])
    found = measure_open_set(query, gallery, l2_normalise=False)
    assert found is not None
    assert found.threshold == pytest.approx((1 + 81) / 2)


def test_where_classes_overlap_both_errors_are_counted_by_hand():
    """References at 0 and 5. The nearest are 1, 1, 1 and 4 away (squared), without the own class 16, 1, 36 and 49.

    Between 1 and 4 lie three of the first below and one of the second: a quarter is wrong on either side.
    """
    gallery, query = _points([0, 5], [1, 2]), _points([1, 4, 6, 7], [1, 1, 2, 2])
    found = measure_open_set(query, gallery, l2_normalise=False)
    assert found is not None
    assert (found.threshold, found.known_accepted, found.unknown_accepted) == (2.5, 0.75, 0.25)


@pytest.mark.parametrize("memory_bytes", [2**30, 20_000])
def test_in_blocks_the_rates_are_those_of_plain_loops(memory_bytes):
    rng = np.random.default_rng(6)
    pids = [rng.integers(1, 7, count) for count in (60, 40)]
    query, gallery = (Embeddings(rng.normal(size=(len(p), 3)).astype(np.float32), p, 0 * p) for p in pids)
    matrix = oracles.squared_distances(query.vectors, gallery.vectors, l2_normalise=True)
    known = [min(row) for row in matrix]
    unknown = [
        min(value for value, other in zip(row, pids[1], strict=True) if other != pid)
        for row, pid in zip(matrix, pids[0], strict=True)
    ]
    found = measure_open_set(query, gallery, memory_bytes=memory_bytes)
    assert found is not None

    def gap(limit: float) -> float:
        return abs(np.mean([value >= limit for value in known]) - np.mean([value < limit for value in unknown]))

    assert gap(found.threshold + 1e-6) == pytest.approx(min(gap(limit + 1e-6) for limit in known + unknown), abs=0.02)
    assert found.known_accepted == pytest.approx(np.mean([value < found.threshold for value in known]), abs=0.02)
    assert found.unknown_accepted == pytest.approx(np.mean([value < found.threshold for value in unknown]), abs=0.02)


def test_a_single_class_has_no_threshold():
    assert measure_open_set(_points([0], [1]), _points([1], [1]), l2_normalise=False) is None


def _points(places: list[float], pids: list[int]) -> Embeddings:
    labels = np.array(pids)
    return Embeddings(np.array(places, np.float32)[:, None], labels, 0 * labels)
