"""Inference: an entry for every image found, in order, and numbers that survive the text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from reid.actions.inference import inference
from reid.actions.inference_files import write_inference_json
from reid.errors import DataError, SpecError
from reid.files import sha256_of
from tests.actions.conftest import MakeSpec, Places


@pytest.fixture(scope="module")
def embedded(trained: Path, make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("inference")
    inference(
        make_spec(
            "inference", results, f"inference.parent_run={trained}", "dataset.val_batch_size=5"  # 8 + 29 images: a tail
        )
    )  # fmt: skip
    return results / "inference"


def entries(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_every_image_found_has_one_entry_junk_strangers_and_png_included(embedded: Path, places: Places) -> None:
    images = [path for side in (places.query, places.gallery) for path in sorted(side.iterdir())]
    images = [path for path in images if path.suffix in (".jpg", ".png")]

    listed = [entry["img_path"] for entry in entries(embedded / "inference.json")]

    assert listed == [str(path) for path in images]  # query first, each side by path
    assert {"-1_c2s1_000003_00.jpg", "0020_c4s1_000005_00.png", "stranger.jpg"} <= {path.name for path in images}
    assert len(listed) == 8 + 28


def test_an_entry_has_taos_two_fields(embedded: Path) -> None:
    for entry in entries(embedded / "inference.json"):
        assert list(entry) == ["img_path", "embedding"]
        assert len(entry["embedding"]) == 32  # type: ignore[arg-type]


def test_json_and_parquet_hold_the_same_float32_numbers(embedded: Path) -> None:
    table = pq.read_table(embedded / "embeddings.parquet")

    from_json = np.array([entry["embedding"] for entry in entries(embedded / "inference.json")], dtype=np.float32)
    from_table = np.array(table["embedding"].to_pylist(), dtype=np.float32)

    assert np.array_equal(from_json, from_table)
    assert table["img_path"].to_pylist() == [entry["img_path"] for entry in entries(embedded / "inference.json")]


def test_the_table_knows_subset_identity_and_camera_and_null_where_a_name_has_none(embedded: Path) -> None:
    table = pq.read_table(embedded / "embeddings.parquet")
    labels = {
        Path(row["img_path"]).name: (row["subset"], row["pid"], row["camid"])
        for row in table.select(["img_path", "subset", "pid", "camid"]).to_pylist()
    }

    assert table.column_names == ["img_path", "subset", "pid", "camid", "embedding"]
    assert labels["0021_c1s1_000001_00.jpg"] == ("query", 21, 1)
    assert labels["-1_c2s1_000003_00.jpg"] == ("gallery", -1, 2)
    assert labels["0000_c2s1_000004_00.jpg"] == ("gallery", 0, 2)
    assert labels["stranger.jpg"] == ("gallery", None, None)


def test_the_table_says_which_checkpoint_and_preprocessing_made_it(embedded: Path, trained: Path) -> None:
    made_by = json.loads(pq.read_schema(embedded / "embeddings.parquet").metadata[b"reid"])
    best = trained / "train" / "model_best.pth"

    assert (made_by["checkpoint"], made_by["checkpoint_sha256"]) == (str(best.absolute()), sha256_of(best))
    assert (made_by["preprocess"]["height"], made_by["preprocess"]["width"]) == (64, 32)
    assert (made_by["l2_normalised"], made_by["neck_feat"], made_by["with_flip_feature"]) == (False, "after", False)


def test_numbers_in_the_json_are_as_short_as_float32_allows_and_parse_back_exactly(tmp_path: Path) -> None:
    vectors = np.array([[0.1, -3.4e38, 1e-45, 16777216.0, 1 / 3]], dtype=np.float32)

    write_inference_json(tmp_path / "out.json", [Path("/a.jpg")], vectors)

    assert "0.1," in (tmp_path / "out.json").read_text()
    parsed = np.array(entries(tmp_path / "out.json")[0]["embedding"], dtype=np.float32)
    assert np.array_equal(parsed, vectors[0])


def test_one_side_alone_is_enough_and_the_file_goes_where_it_is_asked(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    output = tmp_path / "elsewhere" / "mine.json"

    result = inference(
        make_spec(
            "inference", tmp_path, f"inference.parent_run={trained}", f"inference.output_file={output}",
            "dataset.test_dataset_dir=",
        )
    )  # fmt: skip

    assert result.figures["images"] == len(entries(output)) == 8


def test_an_unreadable_image_is_left_out_and_counted_or_refused_as_asked(
    trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    query = shutil.copytree(places.query, tmp_path / "query")
    (query / "0021_c1s1_000001_00.jpg").write_bytes((query / "0021_c1s1_000001_00.jpg").read_bytes()[:200])
    given = (f"inference.parent_run={trained}", f"inference.query_dataset={query}", "dataset.test_dataset_dir=")

    result = inference(make_spec("inference", tmp_path / "skip", *given))

    assert (result.figures["images"], result.figures["unreadable"]) == (7, 1)
    with pytest.raises(DataError, match=r"0021_c1s1_000001_00\.jpg"):
        inference(make_spec("inference", tmp_path / "error", *given, "dataset.on_bad_image=error"))


def test_without_any_images_the_error_names_both_keys(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"neither inference\.query_dataset nor inference\.test_dataset"):
        inference(make_spec("inference", tmp_path, "dataset.query_dataset_dir=", "dataset.test_dataset_dir="))
