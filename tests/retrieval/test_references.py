"""Gallery files with class names: what is written is read, and what has no names is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.gallery import open_gallery
from reid.retrieval.references import References, read_gallery_references

_MADE_BY = {"checkpoint": "a.pth", "checkpoint_sha256": "00"}


@pytest.fixture
def fruit() -> References:
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    return References.of(vectors, ["pear", "apple", "pear", "fig"], ["p0", "a0", "p1", "f0"], _MADE_BY)


def test_classes_are_numbered_in_the_order_of_their_names(fruit):
    assert fruit.classes == {1: "apple", 2: "fig", 3: "pear"}
    assert fruit.embeddings.pids.tolist() == [3, 1, 3, 2]
    assert fruit.counts() == {"apple": 1, "fig": 1, "pear": 2}


def test_a_written_gallery_is_read_again_by_class_and_path(fruit, tmp_path):
    fruit.write(tmp_path / "fruit.parquet")
    read = read_gallery_references(tmp_path / "fruit.parquet")
    assert read.names == ["apple", "fig", "pear", "pear"]
    assert read.embeddings.paths == ("a0", "f0", "p0", "p1")
    assert read.embeddings.vectors.tolist() == [[2, 3], [6, 7], [0, 1], [4, 5]]
    assert read.made_by == _MADE_BY


def test_classes_and_images_leave_and_the_rest_is_numbered_anew(fruit):
    left = fruit.without(classes=["apple"], paths=["p1"])
    assert left is not None
    assert (left.names, left.classes) == (["pear", "fig"], {1: "fig", 2: "pear"})
    assert left.without(classes=["fig", "pear"]) is None


def test_joined_references_keep_the_vectors_of_both(fruit):
    more = References.of(np.full((1, 2), 9, np.float32), ["banana"], ["b0"], {})
    joined = fruit.joined(more)
    assert joined.classes == {1: "apple", 2: "banana", 3: "fig", 4: "pear"}
    assert joined.embeddings.vectors[4].tolist() == [9, 9]
    with pytest.raises(DataError, match="of 2 numbers each and further ones of 3"):
        fruit.joined(References.of(np.ones((1, 3), np.float32), ["x"], ["x"], {}))


def test_a_search_of_the_file_sees_the_class_names(fruit, tmp_path):
    fruit.write(tmp_path / "fruit.parquet")
    image = open_gallery(tmp_path / "fruit.parquet").images([1])[0]
    assert (image.path, image.pid, image.camid, image.class_name) == ("f0", 2, 0, "fig")


def test_an_npz_file_may_hold_class_names_too(tmp_path):
    np.savez(tmp_path / "g.npz", gallery=np.eye(2, dtype=np.float32), gallery_class=["fig", "apple"])
    read = read_gallery_references(tmp_path / "g.npz")
    assert (read.names, read.embeddings.pids.tolist()) == (["fig", "apple"], [2, 1])


def test_a_row_without_a_class_name_is_refused(tmp_path: Path):
    np.savez(tmp_path / "g.npz", gallery=np.eye(2, dtype=np.float32), gallery_class=["fig", ""])
    with pytest.raises(DataError, match=r"1 of 2 rows .* have no class name; the first is row 1"):
        read_gallery_references(tmp_path / "g.npz")
