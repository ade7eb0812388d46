"""Nearest images of a streamed gallery: the same as sorting the whole, from any file and any block size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reid.errors import DataError
from reid.retrieval.gallery import open_gallery, read_ahead
from reid.retrieval.gallery_file import GalleryImage
from reid.retrieval.search import BLOCK_ROWS, block_rows, nearest
from tests import oracles


def in_blocks(vectors: np.ndarray, size: int) -> Any:
    return ((start, vectors[start : start + size]) for start in range(0, len(vectors), size))


def by_sorting(query: np.ndarray, gallery: np.ndarray, k: int, *, l2_normalise: bool) -> list[list[int]]:
    distances = oracles.squared_distances(query, gallery, l2_normalise=l2_normalise)
    return [sorted(range(len(gallery)), key=lambda row: (line[row], row))[:k] for line in distances]


def write_table(path: Path, vectors: np.ndarray, **columns: Any) -> Path:
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float32).reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({**columns, "embedding": embedding}), path)
    return path


@pytest.mark.parametrize("l2_normalise", [True, False])
@pytest.mark.parametrize("block", [1, 7, 100, 5000])
def test_the_nearest_of_a_stream_are_those_of_sorting_the_whole_gallery(l2_normalise: bool, block: int) -> None:
    rng = np.random.default_rng(block)
    query, gallery = rng.normal(size=(9, 5)).astype(np.float32), rng.normal(size=(240, 5)).astype(np.float32)

    distances, rows = nearest(query, in_blocks(gallery, block), 13, l2_normalise=l2_normalise)

    assert rows.tolist() == by_sorting(query, gallery, 13, l2_normalise=l2_normalise)
    slow = np.array(oracles.squared_distances(query, gallery, l2_normalise=l2_normalise))
    assert distances == pytest.approx(np.take_along_axis(slow, rows, 1), abs=1e-5)


@pytest.mark.parametrize("block", [1, 3, 64])
def test_equal_distances_stand_in_the_order_of_rows_also_at_the_cut(block: int) -> None:
    gallery = np.array([[4.0], [2.0], [3.0], [2.0], [1.0], [2.0], [2.0]], np.float32)

    distances, rows = nearest(np.ones((1, 1), np.float32), in_blocks(gallery, block), 3, l2_normalise=False)

    assert rows.tolist() == [[4, 1, 3]]
    assert distances.tolist() == [[0.0, 1.0, 1.0]]


def test_a_gallery_that_comes_nearer_with_each_row_keeps_the_last_rows() -> None:
    gallery = np.arange(1000, 0, -1, dtype=np.float32)[:, None]

    _, rows = nearest(np.zeros((1, 1), np.float32), in_blocks(gallery, 64), 4, l2_normalise=False)

    assert rows.tolist() == [[999, 998, 997, 996]]


def test_k_of_the_whole_gallery_orders_it_and_one_more_is_refused() -> None:
    gallery = np.array([[3.0], [1.0], [2.0]], np.float32)
    query = np.zeros((1, 1), np.float32)

    assert nearest(query, [(0, gallery)], 3, l2_normalise=False)[1].tolist() == [[1, 2, 0]]
    with pytest.raises(DataError, match="the nearest 4 are asked of a gallery of 3 images"):
        nearest(query, [(0, gallery)], 4, l2_normalise=False)


@pytest.mark.parametrize(
    ("row", "said"), [([np.nan, 1], "row 5 holds NaN"), ([np.inf, 1], "row 5 holds NaN"), ([0, 0], "row 5 is all zero")]
)
def test_a_gallery_vector_without_a_value_or_direction_is_named(row: list[float], said: str) -> None:
    gallery = np.ones((8, 2), np.float32)
    gallery[5] = row

    with pytest.raises(DataError, match=said):
        nearest(np.ones((1, 2), np.float32), in_blocks(gallery, 3), 2)


@pytest.mark.parametrize(
    ("row", "said"),
    [([np.nan, 1], "row 1 holds NaN"), ([-np.inf, 1], "row 1 holds NaN"), ([0, 0], "row 1 is all zero")],
)
def test_a_query_vector_without_a_value_or_direction_is_named(row: list[float], said: str) -> None:
    query = np.array([[1, 1], row, row], np.float32)

    with pytest.raises(DataError, match=f"the query vector of {said}"):
        nearest(query, [(0, np.ones((4, 2), np.float32))], 2)


def test_a_zero_query_has_distances_where_nothing_is_normalised() -> None:
    distances, _ = nearest(np.zeros((1, 2), np.float32), [(0, np.ones((4, 2), np.float32))], 1, l2_normalise=False)

    assert distances.tolist() == [[2.0]]


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(DataError, match="query embeddings have 3 numbers, gallery embeddings 2"):
        nearest(np.ones((1, 3), np.float32), [(0, np.ones((4, 2), np.float32))], 1)


def test_an_error_of_the_reading_thread_reaches_the_caller() -> None:
    def damaged() -> Any:
        yield 1
        raise DataError("the second block is damaged")

    blocks = read_ahead(damaged())
    assert next(blocks) == 1
    with pytest.raises(DataError, match="second block"):
        next(blocks)


@pytest.mark.parametrize("kind", ["fixed.parquet", "list.parquet", "plain.npz", "packed.npz", "half.npz", "two.npz"])
def test_every_kind_of_file_gives_all_vectors_in_blocks_and_its_labels(kind: str, tmp_path: Path) -> None:
    vectors = np.arange(1, 31, dtype=np.float32).reshape(10, 3)
    paths, pids, camids = [f"{row}.jpg" for row in range(10)], np.arange(10) + 20, np.arange(10) % 2
    path, columns = tmp_path / kind, {"img_path": paths, "pid": pids, "camid": camids}
    if kind == "fixed.parquet":
        write_table(path, vectors, **columns)
    elif kind == "list.parquet":
        pq.write_table(pa.table({**columns, "embedding": vectors.tolist()}), path)
    elif kind == "two.npz":
        labels = {"gallery_path": paths, "gallery_pid": pids, "gallery_camid": camids}
        np.savez(path, query=vectors[:2] * 0 - 1, gallery=vectors, **labels)
    else:
        save = np.savez_compressed if kind == "packed.npz" else np.savez
        stored = vectors.astype(np.float16 if kind == "half.npz" else np.float32)
        save(path, vectors=stored, path=paths, pid=pids, camid=camids)

    gallery = open_gallery(path)
    blocks = list(gallery.blocks(4))

    assert (gallery.dim, gallery.total, gallery.rows.tolist()) == (3, 10, list(range(10)))
    assert [(start, len(block)) for start, block in blocks] == [(0, 4), (4, 4), (8, 2)]
    assert np.concatenate([block for _, block in blocks]).tolist() == vectors.tolist()
    assert gallery.vectors([9, 0, 9]).tolist() == vectors[[9, 0, 9]].tolist()
    assert gallery.images([7, 2]) == [GalleryImage("7.jpg", 27, 1), GalleryImage("2.jpg", 22, 0)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_vectors_of_whole_numbers_are_searched(dtype: type, tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", vectors=np.array([[3, 1], [0, 200]], dtype))

    ((start, block),) = open_gallery(tmp_path / "g.npz").blocks()

    assert (start, block.dtype, block.tolist()) == (0, np.float32, [[3.0, 1.0], [0.0, 200.0]])


@pytest.mark.parametrize("name", ["g.npz", "g.parquet"])
def test_paths_of_bytes_are_text_and_labels_are_whole_numbers_or_nothing(name: str, tmp_path: Path) -> None:
    path, vectors = tmp_path / name, np.ones((2, 3), np.float32)
    paths, pids = ["a/\N{LATIN SMALL LETTER U WITH DIAERESIS}.jpg".encode(), b"b.jpg"], [7.0, np.nan]
    if name == "g.npz":
        np.savez(path, vectors=vectors, path=np.array(paths), pid=pids, camid=[[1], [2]])
    else:
        write_table(path, vectors, img_path=pa.array(paths, pa.binary()), pid=pa.array([7, None]), camid=[1, 2])

    images = open_gallery(path).images([1, 0])

    assert images == [GalleryImage("b.jpg", None, 2), GalleryImage("a/\xfc.jpg", 7, 1)]
    assert {type(value) for image in images for value in (image.pid, image.camid)} == {int, type(None)}


def test_labels_of_another_number_or_kind_are_refused_with_the_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", vectors=np.ones((3, 2)), pid=[1, 2])
    np.savez(tmp_path / "half.npz", vectors=np.ones((3, 2)), pid=[1, 2, 2.5])

    with pytest.raises(DataError, match="has 3 vectors in vectors and 2 values in pid"):
        open_gallery(tmp_path / "few.npz").images([0])
    with pytest.raises(DataError, match=r"pid of row 2 of .*half\.npz is 2\.5"):
        open_gallery(tmp_path / "half.npz").images([0])


def test_only_the_rows_of_the_subset_are_searched_and_positions_lead_back_to_rows_of_the_file(tmp_path: Path) -> None:
    sides = ["query", "gallery", "query", "query", "query", "query", "query", "gallery", "gallery", "query"]
    vectors = np.arange(1, 11, dtype=np.float32)[:, None]
    path = write_table(tmp_path / "both.parquet", vectors, subset=pa.array(sides).dictionary_encode())

    gallery = open_gallery(path)

    assert gallery.rows.tolist() == [1, 7, 8]
    assert [(start, block.tolist()) for start, block in gallery.blocks(4)] == [
        (0, [[2.0]]),
        (1, [[8.0]]),
        (2, [[9.0]]),
    ]
    assert gallery.vectors([0, 9]).tolist() == [[1.0], [10.0]]
    assert gallery.images([8]) == [GalleryImage(None, None, None)]
    assert len(open_gallery(path, subset="all").rows) == 10
    assert len(open_gallery(path, subset="query").rows) == 7


def test_a_subset_without_rows_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "queries.parquet", np.ones((2, 3)), subset=["query", "query"])

    with pytest.raises(DataError, match=r"none of the 2 rows of .* belongs to the subset gallery.*--subset all"):
        open_gallery(path)


def test_files_without_vectors_say_what_they_hold(tmp_path: Path) -> None:
    pq.write_table(pa.table({"img_path": ["a"], "pid": [1]}), tmp_path / "labels.parquet")
    np.savez(tmp_path / "labels.npz", pid=[1, 2])
    np.savez(tmp_path / "complex.npz", vectors=np.ones((2, 3), np.complex64))
    np.savez(tmp_path / "flat.npz", vectors=np.ones(3))

    for name, said in (
        ("labels.parquet", "has no embeddings: it holds img_path, pid"),
        ("labels.npz", "has no array gallery or embedding or embeddings or vectors; it holds pid"),
        ("complex.npz", "the array vectors of .* is complex64"),
        ("flat.npz", r"has no array of shape \[N, D\]; it holds vectors of shape \(3,\)"),
    ):
        with pytest.raises(DataError, match=said):
            open_gallery(tmp_path / name)


def test_rows_of_unequal_length_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"embedding": [[1.0, 2.0], [3.0]]}), tmp_path / "ragged.parquet")

    with pytest.raises(DataError, match="rows from 0 to 1 whose embeddings are missing or have between 1 and 2"):
        list(open_gallery(tmp_path / "ragged.parquet").blocks())


@pytest.mark.parametrize("name", ["damaged.parquet", "damaged.npz"])
def test_a_damaged_file_is_named_with_its_size(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 not what it says")

    with pytest.raises(DataError, match=rf"{name} cannot be read \(21 bytes\)"):
        open_gallery(tmp_path / name)


def test_a_missing_file_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inference.json").write_text("[]")

    with pytest.raises(DataError, match="there is no gallery file") as missing:
        open_gallery(tmp_path / "absent.parquet")
    assert missing.value.why
    assert missing.value.fix
    with pytest.raises(DataError, match=r"neither a \.parquet nor an \.npz"):
        open_gallery(tmp_path / "inference.json")


def test_blocks_shrink_with_the_memory_until_no_vector_fits() -> None:
    assert block_rows(256, 2**30) == BLOCK_ROWS
    assert block_rows(256, 4 * 256 * 4 * 10) == 10  # a quarter of the memory holds ten vectors
    with pytest.raises(DataError, match=r"not even one of them fits\. .*--memory-gb"):
        block_rows(2048, 2048 * 4)


def test_a_small_memory_gives_the_same_answer() -> None:
    rng = np.random.default_rng(5)
    query, gallery = rng.normal(size=(50, 8)).astype(np.float32), rng.normal(size=(300, 8)).astype(np.float32)

    wide = nearest(query, in_blocks(gallery, 300), 10)
    narrow = nearest(query, in_blocks(gallery, 20), 10, memory_bytes=1000)

    assert narrow[1].tolist() == wide[1].tolist()
