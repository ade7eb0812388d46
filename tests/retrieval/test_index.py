"""The approximate index: what it finds is exact, and how much it misses is counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from reid.errors import DataError, SpecError
from reid.retrieval.gallery import open_gallery
from reid.retrieval.index import nearest_by_index, open_index, recall
from reid.retrieval.search import nearest

pytest.importorskip("faiss")


def test_recall_counts_what_is_missing_whatever_the_order() -> None:
    assert recall(np.array([[3, 1], [5, 6]]), np.array([[1, 3], [6, 7]])) == 3 / 4


def test_a_grouped_index_finds_most_of_the_exact_nearest_at_their_exact_distances(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(300, 16))
    vectors = (np.repeat(centres, 40, axis=0) + 0.2 * rng.normal(size=(12_000, 16))).astype(np.float32)
    np.savez(tmp_path / "g.npz", vectors=vectors)
    gallery = open_gallery(tmp_path / "g.npz")
    query = (centres[:20] + 0.2 * rng.normal(size=(20, 16))).astype(np.float32)

    index = open_index(gallery)
    distances, rows = nearest_by_index(index, query, 10)
    exact_distances, exact = nearest(query, gallery.blocks(), 10)

    assert index.nlist == round(2 * np.sqrt(12_000))
    assert recall(rows, exact) > 0.9
    shared = (rows == exact).all(axis=1)
    assert shared.any()
    assert distances[shared] == pytest.approx(exact_distances[shared], abs=1e-5)


def test_more_groups_are_looked_into_when_the_nearest_ones_are_too_small(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(10_000, 4)).astype(np.float32)
    np.savez(tmp_path / "g.npz", vectors=vectors)
    gallery = open_gallery(tmp_path / "g.npz")

    _, rows = nearest_by_index(open_index(gallery), vectors[:2], 9_999)

    assert [len(set(row)) for row in rows.tolist()] == [9_999, 9_999]
    with pytest.raises(DataError, match="nearest 10001 are asked of a gallery of 10000"):
        nearest_by_index(open_index(gallery), vectors[:2], 10_001)


@pytest.mark.parametrize("damaged", ["g.npz.faiss", "g.npz.faiss.json"])
@pytest.mark.parametrize("left", [0, 20])
def test_an_index_that_was_cut_short_is_made_anew_and_kept(
    damaged: str, left: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    np.savez(tmp_path / "g.npz", vectors=vectors)
    gallery = open_gallery(tmp_path / "g.npz")
    open_index(gallery)
    whole = {path.name: path.read_bytes() for path in tmp_path.glob("*.faiss*")}
    (tmp_path / damaged).write_bytes(whole[damaged][:left])

    _, rows = nearest_by_index(open_index(gallery), vectors[:3], 1)

    assert rows.tolist() == [[0], [1], [2]]
    assert f"{tmp_path / 'g.npz.faiss'} cannot be read and is made anew" in caplog.text
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.faiss*")} == whole


def test_a_query_without_direction_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", vectors=np.ones((3, 2), np.float32))

    with pytest.raises(DataError, match="the query vector of row 1 is all zero"):
        nearest_by_index(open_index(open_gallery(tmp_path / "g.npz")), np.array([[1, 0], [0, 0]], np.float32), 1)


def test_without_faiss_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "g.npz", vectors=np.ones((3, 2), np.float32))
    monkeypatch.setitem(sys.modules, "faiss", None)

    with pytest.raises(SpecError, match=r"faiss is not installed.*pip install faiss-cpu"):
        open_index(open_gallery(tmp_path / "g.npz"))
