"""Files of embeddings by other programs: what is read from each kind, and how unusable ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reid.errors import DataError
from reid.retrieval.embedding_table import write_embedding_table
from reid.retrieval.files import read_embeddings
from reid.retrieval.label_values import UNKNOWN
from reid.retrieval.sides import labelled

VECTORS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
NAMES = ["a/0007_c1s1_000001_00.jpg", "a/0000_c2s1_000002_00.jpg", "a/-1_c12s1_000003_00.jpg"]
LABELS = {"pid": np.array([7, 0, -1]), "camid": np.array([1, 2, 12])}


def npz(target: Path, /, **arrays: Any) -> Path:
    np.savez(target, **arrays)
    return target


def table(path: Path, metadata: dict[bytes, bytes] | None = None, **columns: Any) -> Path:
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


def inference_json(path: Path, names: list[str], vectors: Any, indent: int | None = 4) -> Path:
    entries = [{"img_path": name, "embedding": list(vector)} for name, vector in zip(names, vectors, strict=True)]
    path.write_text(json.dumps(entries, indent=indent))
    return path


def three_ways(folder: Path) -> dict[str, Path]:
    """The same three rows in each format, under names that say nothing of the format."""
    return {
        "npz": npz(folder / "one.npz", embeddings=VECTORS.astype(np.float16), path=NAMES, **LABELS),
        "parquet": table(folder / "two", embedding=VECTORS.tolist(), img_path=NAMES, **LABELS),
        "json": inference_json(folder / "three", NAMES, VECTORS.tolist()),
    }


@pytest.mark.parametrize("kind", ["npz", "parquet", "json"])
def test_each_format_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    file = read_embeddings(three_ways(tmp_path)[kind])

    assert np.array_equal(file.vectors, VECTORS)
    assert file.vectors.dtype == np.float32
    assert (file.pids.tolist(), file.camids.tolist()) == ([7, 0, -1], [1, 2, 12])
    assert file.paths == tuple(NAMES)
    assert file.labels_from_names is (kind == "json")
    assert (file.sides, file.metadata) == ((), {})


@pytest.mark.parametrize("kind", ["npz", "parquet", "json"])
def test_junk_is_dropped_and_counted_and_distractors_stay(kind: str, tmp_path: Path) -> None:
    side = labelled(read_embeddings(three_ways(tmp_path)[kind]), "gallery")

    assert side.embeddings.pids.tolist() == [7, 0]
    assert side.embeddings.paths == tuple(NAMES[:2])
    assert (side.junk, side.unlabelled) == (1, 0)


def test_one_npz_may_hold_both_sides(tmp_path: Path) -> None:
    path = npz(
        tmp_path / "both.npz",
        query=VECTORS[:1], query_pid=[7], query_camid=[1],
        gallery=VECTORS[1:], gallery_pid=[7, 8], gallery_camid=[2, 3],
    )  # fmt: skip
    file = read_embeddings(path)

    assert file.side("query").vectors.tolist() == [[1, 2]]
    assert file.side("gallery").pids.tolist() == [7, 8]
    assert file.side("gallery").camids.tolist() == [2, 3]


def test_a_table_tells_sides_by_its_column_subset(tmp_path: Path) -> None:
    file = read_embeddings(
        table(tmp_path / "t.parquet", subset=["gallery", "query", "gallery"], embedding=VECTORS.tolist(), **LABELS)
    )

    assert file.side("query").vectors.tolist() == [[3, 4]]
    assert file.side("gallery").pids.tolist() == [7, -1]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float16()), pa.list_(pa.int32())]
)
def test_a_table_may_hold_lists_of_any_kind_of_number_in_several_chunks(kind: pa.DataType, tmp_path: Path) -> None:
    rows = [[np.float16(number) for number in row] for row in VECTORS] if "half" in str(kind) else VECTORS.tolist()
    if "int" in str(kind):
        rows = VECTORS.astype(int).tolist()
    written = pa.table({"embedding": pa.array(rows, kind), "pid": [1, 2, 3], "camid": [1, 2, 3]})
    pq.write_table(written, tmp_path / "t", row_group_size=1)

    assert read_embeddings(tmp_path / "t").vectors.tolist() == VECTORS.tolist()


def test_a_subset_that_is_neither_query_nor_gallery_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", subset=["Gallery", "query", None], embedding=VECTORS.tolist(), **LABELS)
    with pytest.raises(DataError, match=r"the column subset of .*t\.parquet holds 'Gallery', 'None'"):
        read_embeddings(path)


def test_a_null_label_is_unknown_and_such_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    file = read_embeddings(
        table(tmp_path / "t", embedding=VECTORS.tolist(), pid=[7, None, 9], camid=[1, 2, None], img_path=NAMES)
    )

    assert file.pids.tolist() == [7, UNKNOWN, 9]
    side = labelled(file, "gallery")
    assert (side.embeddings.pids.tolist(), side.junk, side.unlabelled) == ([7], 0, 2)


def test_a_table_without_labels_reads_them_from_the_names(tmp_path: Path) -> None:
    file = read_embeddings(table(tmp_path / "t", embedding=VECTORS.tolist(), img_path=NAMES))
    assert (file.pids.tolist(), file.camids.tolist()) == ([7, 0, -1], [1, 2, 12])


def test_our_own_table_says_how_it_was_made(tmp_path: Path) -> None:
    file = read_embeddings(table(tmp_path / "t", {b"reid": b'{"checkpoint_sha256": "ab"}'}, embedding=VECTORS.tolist()))
    assert file.metadata == {"checkpoint_sha256": "ab"}


def test_json_on_one_line_reads_as_indented(tmp_path: Path) -> None:
    path = inference_json(tmp_path / "i.json", NAMES, VECTORS.tolist(), indent=None)
    assert np.array_equal(read_embeddings(path).vectors, VECTORS)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN or infinite"), (-np.inf, "NaN or infinite")])
@pytest.mark.parametrize("kind", ["npz", "parquet", "json"])
def test_a_vector_without_distances_is_named_by_its_row_in_the_file(
    kind: str, value: float, words: str, tmp_path: Path
) -> None:
    vectors = VECTORS.copy()
    vectors[1] = value
    path = {
        "npz": lambda: npz(tmp_path / "f.npz", vectors=vectors, path=NAMES),
        "parquet": lambda: table(tmp_path / "f", embedding=vectors.tolist(), img_path=NAMES),
        "json": lambda: inference_json(tmp_path / "f", NAMES, vectors.tolist()),
    }[kind]()

    with pytest.raises(DataError, match=rf"1 of 3 embeddings.*{words}.*row 1 of .*/f.* \(a/0000_c2s1_000002_00\.jpg\)"):
        read_embeddings(path)


def test_a_row_of_one_side_of_a_npz_is_counted_in_that_side(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 0 of gallery of .*both\.npz"):
        read_embeddings(npz(tmp_path / "both.npz", query=VECTORS, gallery=np.full((1, 2), np.nan)))


def test_a_double_beyond_float32_is_refused_as_infinite(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 1 embeddings hold NaN or infinite"):
        read_embeddings(npz(tmp_path / "f.npz", vectors=np.array([[1e300, 1.0]])))


def test_sides_of_different_dimension_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "both.npz", query=np.ones((1, 3)), gallery=np.ones((1, 2)))
    with pytest.raises(DataError, match=r"query embeddings of .*both.npz have 3 numbers, gallery embeddings 2"):
        read_embeddings(path)


def test_missing_vectors_name_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no embeddings: it holds features, pid.*looked for under embedding"):
        read_embeddings(npz(tmp_path / "f.npz", features=VECTORS, pid=[1, 2, 3]))
    with pytest.raises(DataError, match="has no embeddings: it holds x"):
        read_embeddings(table(tmp_path / "f", x=[1.0]))


def test_missing_labels_name_what_was_found(tmp_path: Path) -> None:
    file = read_embeddings(npz(tmp_path / "f.npz", vectors=VECTORS, camid=[1, 2, 3]))
    with pytest.raises(DataError, match=r"no identity and camera for its 3 query rows; it holds vectors, camid"):
        labelled(file, "query")


def test_names_without_identity_are_refused_and_three_are_shown(tmp_path: Path) -> None:
    names = [*NAMES, "x/face.jpg", "x/12.jpg", "x/c3.jpg", "x/last.jpg"]
    file = read_embeddings(inference_json(tmp_path / "i.json", names, [[1.0]] * 7))

    with pytest.raises(DataError, match=r"4 of 7 gallery paths .*\(face\.jpg, 12\.jpg, c3\.jpg, \.\.\.\)"):
        labelled(file, "gallery")


def test_a_path_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = read_embeddings(inference_json(tmp_path / "i.json", [*NAMES, NAMES[0]], [[1.0]] * 4))
    with pytest.raises(DataError, match=r"1 paths stand more than once among the gallery rows .*a/0007_c1s1"):
        labelled(file, "gallery")


def test_an_empty_side_is_refused_with_what_was_left_out(tmp_path: Path) -> None:
    junk = read_embeddings(npz(tmp_path / "f.npz", vectors=VECTORS, pid=[-1, -1, -1], camid=[1, 1, 1]))
    with pytest.raises(DataError, match=r"leaves no gallery embedding: 3 rows, 3 of them junk"):
        labelled(junk, "gallery")
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    with pytest.raises(DataError, match="leaves no query embedding: 0 rows"):
        labelled(read_embeddings(empty), "query")


def test_only_one_side_of_a_npz_leaves_the_other_empty(tmp_path: Path) -> None:
    file = read_embeddings(npz(tmp_path / "f.npz", query=VECTORS, query_pid=[1, 2, 3], query_camid=[1, 1, 1]))
    with pytest.raises(DataError, match="leaves no gallery embedding"):
        labelled(file.side("gallery"), "gallery")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pid": [1, 2], "camid": [1, 1, 1]}, "3 vectors and 2 pids"),
        ({"pid": np.ones((3, 2), int), "camid": [1, 1, 1]}, "3 vectors and 6 pids"),
        ({"pid": [1, 2, 3], "camid": [1, 1, 1], "path": ["a"]}, "3 vectors and 1 paths"),
        ({"pid": [1, 2.5, 3], "camid": [1, 1, 1]}, r"pid of row 1 of .* is .*2\.5"),
        ({"pid": [1, 2, -7], "camid": [1, 1, 1]}, "pid of row 2 .*-7"),
        ({"pid": [1, 2, 3], "camid": ["one", "two", "three"]}, "camid of row 0 .*one"),
    ],
)
def test_labels_that_do_not_fit_are_named(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_embeddings(npz(tmp_path / "f.npz", vectors=VECTORS, **arrays))


def test_labels_that_floating_point_would_merge_stay_apart(tmp_path: Path) -> None:
    pids = np.array([2**60, 2**60 + 1, 2**63 - 1])
    for kind in (np.int64, np.uint64):
        path = npz(tmp_path / "f.npz", vectors=VECTORS, pid=pids.astype(kind), camid=[1, 2, 3])
        assert read_embeddings(path).pids.tolist() == [2**60, 2**60 + 1, 2**63 - 1]
    assert (
        read_embeddings(table(tmp_path / "f", embedding=VECTORS.tolist(), pid=pids, camid=[1, 2, 3])).pids.tolist()
        == pids.tolist()
    )


@pytest.mark.parametrize(
    ("pids", "words"),
    [
        (np.array([1, 2, 2.0**60]), r"pid of row 2 .*read as float64. from 9,007,199,254,740,992 on"),
        (np.array([1, 2**24, 3], np.float32), r"pid of row 1 .*read as float32. from 16,777,216 on"),
        (np.array(["1", "2", str(2**60)]), r"pid of row 2 .*read as float64"),
        (np.array([1, 2, 2**63], np.uint64), r"pid of row 2 .*9223372036854775808.* up to 2\^63 - 1"),
    ],
)
def test_labels_too_large_for_their_type_are_refused(pids: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_embeddings(npz(tmp_path / "f.npz", vectors=VECTORS, pid=pids, camid=[1, 2, 3]))


def test_a_large_label_beside_an_empty_one_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "f", embedding=VECTORS.tolist(), pid=[2**60, None, 1], camid=[1, 2, 3])
    with pytest.raises(DataError, match="write the labels as int64 without empty values"):
        read_embeddings(path)


@pytest.mark.parametrize(
    "vectors", [np.ones(3), np.array(5.0), np.ones((2, 2, 2)), np.array([["a"]]), np.ones((1, 1)) * 1j]
)
def test_vectors_that_form_no_table_of_numbers_are_refused(vectors: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are an array of shape"):
        read_embeddings(npz(tmp_path / "f.npz", vectors=vectors))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([[1.0, 2.0], [1.0]], "lists of 2, 1 numbers"),
        ([[1.0, 2.0], None], "lists of 2, None numbers"),
        ([[1.0, None], [1.0, 2.0]], "1 numbers missing"),
        ([1.0, 2.0], "a column of double, not of lists"),
    ],
)
def test_lists_of_different_length_or_with_gaps_are_refused(column: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_embeddings(table(tmp_path / "f", embedding=column))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"img_path": "a.jpg"}]', "entry 0 of .* the keys img_path"),
        ('[{"img_path": "a.jpg", "embedding": [1, "x"]}]', "entry 0"),
        ('[{"img_path": "a.jpg", "embedding": [[1]]}]', "entry 0"),
        ('[{"img_path": "a.jpg", "embedding": [1]}, 5]', "entry 1 of .* a int"),
        ('[{"img_path": "a", "embedding": [1]}, {"img_path": "b", "embedding": [1, 2]}]', "lists of 1, 2 numbers"),
        ('[{"img_path": "a.jpg", "embedding": [1]}', "cannot be read: the list of images breaks off"),
        ('[{"img_path": "a.jpg", "embedd', "cannot be read: "),
        ('[{"img_path": "a.jpg", "embedding": [1]}] [{"img', r"the list of images is followed by '\[{\"img'"),
        ('[{"img_path": "a.jpg", "embedding": [1]}[', "the list of images is followed by"),
        ("[] x", "the list of images is followed by 'x'"),
        ("[" * 100_000, "cannot be read: maximum recursion depth"),
    ],
)  # fmt: skip
def test_a_json_that_is_no_list_of_images_is_refused_at_its_entry(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_embeddings(path)


@pytest.mark.parametrize("kind", ["npz", "parquet", "json"])
def test_a_truncated_file_is_refused_by_name_and_size(kind: str, tmp_path: Path) -> None:
    path = three_ways(tmp_path)[kind]
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DataError, match=rf"{path.name} \(150 bytes\) cannot be read: "):
        read_embeddings(path)


def test_a_missing_an_empty_and_another_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no embedding file") as caught:
        read_embeddings(tmp_path / "nowhere.npz")
    assert caught.value.why
    other = tmp_path / "weights.pth"
    for content in (b"", b"\x80\x02}q\x00."):
        other.write_bytes(content)
        with pytest.raises(DataError, match=r"weights\.pth .* is no embedding file"):
            read_embeddings(other)
    with pytest.raises(DataError, match=r"cannot be read: .*directory"):
        read_embeddings(tmp_path)


def test_a_npz_that_would_run_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: .*allow_pickle"):
        read_embeddings(npz(tmp_path / "f.npz", vectors=np.array([{"a": 1}, None], dtype=object)))


def test_names_of_classes_are_read_with_their_numbers_and_two_names_of_one_are_refused(tmp_path):
    def table(names: list[str]) -> Path:
        path = tmp_path / "classes.parquet"
        write_embedding_table(
            path, np.eye(3, dtype=np.float32), paths=["a", "b", "c"], sides=["query", "gallery", "gallery"],
            pids=[1, 1, 2], camids=[0, 0, 0], classes=names, made_by={},
        )  # fmt: skip
        return path

    assert read_embeddings(table(["Fig", "Fig", ""])).classes == {1: "Fig"}
    with pytest.raises(DataError, match=r"identity 1 both Fig and Date"):
        read_embeddings(table(["Fig", "Date", "Kiwi"]))
