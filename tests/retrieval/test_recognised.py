"""Which class a picture shows, and TAO's result.csv."""

from __future__ import annotations

import ast
import csv

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.recognised import recognise, write_result_csv
from tests import oracles

_NAMES = {1: "apple, red", 2: "pear's"}


@pytest.fixture
def references() -> Embeddings:
    """Two apples along the axes, one pear between them."""
    vectors = np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.5]], np.float32)
    return Embeddings(vectors, np.array([1, 2, 1]), np.zeros(3, np.int64))


def test_classes_of_the_nearest_references_are_named_with_repetition(references):
    """A query along the first axis: itself at 0, the pear at 45 degrees at 2 - sqrt(2), the other apple at 2."""
    found = recognise(np.array([[5.0, 0.0]], np.float32), references, topk=3)
    assert found.names(_NAMES) == [["apple, red", "pear's", "apple, red"]]
    assert found.distances.tolist()[0] == pytest.approx([0, 2 - 2**0.5, 2], abs=1e-6)
    assert found.num_unknown == 0


def test_from_the_threshold_on_it_is_none_of_these(references):
    query = np.array([[5.0, 0.0], [-1.0, -1.0]], np.float32)
    found = recognise(query, references, topk=2, threshold=0.5)
    assert found.names(_NAMES) == [["apple, red", "none of these"], ["none of these", "none of these"]]
    assert found.num_unknown == 1
    answers = found.to_list(["a.jpg", "b.jpg"], _NAMES)
    assert [answer["class"] for answer in answers] == ["apple, red", None]
    assert answers[1]["nearest"][0]["class"] == "apple, red"  # what was nearest is told all the same


def test_a_distance_equal_to_the_threshold_is_not_below_it(references):
    query = np.array([[5.0, 0.0]], np.float32)
    assert recognise(query, references, threshold=0.0).num_unknown == 1


def test_in_blocks_the_neighbours_are_those_of_plain_loops():
    rng = np.random.default_rng(2)
    references = Embeddings(rng.normal(size=(90, 8)).astype(np.float32), np.arange(1, 91), np.zeros(90, np.int64))
    query = rng.normal(size=(7, 8)).astype(np.float32)
    found = recognise(query, references, topk=5, memory_bytes=4 * 4 * 8 * 11)  # 11 references a block
    matrix = np.array(oracles.squared_distances(query, references.vectors, l2_normalise=True))
    order = np.argsort(matrix, axis=1)[:, :5]
    assert (found.rows == order).all()
    assert (found.pids == order + 1).all()
    assert found.distances == pytest.approx(np.take_along_axis(matrix, order, 1), abs=1e-5)


def test_more_answers_than_references_are_refused(references):
    with pytest.raises(DataError, match=r"the nearest 4 are asked of 3 references.*inference\.topk"):
        recognise(np.ones((1, 2), np.float32), references, topk=4)


def test_result_csv_holds_path_names_and_distances_without_a_header(references, tmp_path):
    found = recognise(np.array([[5.0, 0.0], [1.0, 1.0]], np.float32), references, topk=2)
    write_result_csv(tmp_path / "result.csv", ["/data/a, b.jpg", "/data/c.jpg"], found, _NAMES)
    with (tmp_path / "result.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            (path, ast.literal_eval(names), ast.literal_eval(distances)) for path, names, distances in csv.reader(file)
        ]
    assert [row[:2] for row in rows] == [
        ("/data/a, b.jpg", ["apple, red", "pear's"]),
        ("/data/c.jpg", ["pear's", "apple, red"]),
    ]
    assert [row[2] for row in rows] == [row.tolist() for row in found.distances.astype(str).astype(float)]
