"""`dataset`: what is in the archives is found and written down before any training time is spent."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from reid.actions.dataset import dataset
from reid.errors import DataError, SpecError
from reid.files import sha256_of
from tests.actions.conftest import TRAIN_COUNTS, MakeSpec, Places
from tests.actions.helpers import status


def test_the_index_lists_each_labelled_image_by_relative_name_with_its_sha256(
    make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    dataset(make_spec("dataset", tmp_path))

    index = json.loads((tmp_path / "dataset" / "index.json").read_text())
    assert {name: len(images) for name, images in index.items()} == {"train": 43, "query": 8, "gallery": 27}
    first = index["train"][0]
    assert first == {
        "file": "0001_c1s1_000000_00.jpg",
        "pid": 1,
        "camid": 1,
        "sha256": sha256_of(places.train / "0001_c1s1_000000_00.jpg"),
    }
    assert -1 in {image["pid"] for image in index["gallery"]}


def test_the_figures_count_what_was_drawn(make_spec: MakeSpec, tmp_path: Path) -> None:
    result = dataset(make_spec("dataset", tmp_path))

    assert result.figures == {
        "train_images": sum(TRAIN_COUNTS.values()), "train_identities": len(TRAIN_COUNTS),
        "query_images": 8, "query_identities": 8, "gallery_images": 26, "gallery_identities": 8,
    }  # fmt: skip
    report = (tmp_path / "dataset" / "report.json").read_text()
    assert "stranger.jpg" in report
    assert "Thumbs.db" in report
    assert status(tmp_path / "dataset")[-1]["status"] == "SUCCESS"


def test_a_folder_and_an_archive_of_it_give_the_same_index(make_spec: MakeSpec, places: Places, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train.tar.gz", "w:gz") as tar:
        tar.add(places.train, arcname="train")
    alone = ("dataset.query_dataset_dir=", "dataset.test_dataset_dir=")

    dataset(make_spec("dataset", tmp_path / "a", *alone))
    dataset(make_spec("dataset", tmp_path / "b", *alone, f"dataset.train_dataset_dir={tmp_path}/train.tar.gz"))

    a, b = (tmp_path / run / "dataset" / "index.json" for run in ("a", "b"))
    assert a.read_text() == b.read_text()


def test_too_few_identities_and_unmatched_queries_are_found_here(
    make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"6 identities .* needs 8"):
        dataset(make_spec("dataset", tmp_path, "dataset.batch_size=32"))
    with pytest.raises(DataError, match="no query has a match"):
        dataset(make_spec("dataset", tmp_path, f"dataset.test_dataset_dir={places.train}"))


@pytest.mark.parametrize("choice", ["skip", "error"])
def test_a_truncated_image_is_skipped_and_counted_or_refused_as_asked(
    make_spec: MakeSpec, places: Places, tmp_path: Path, choice: str
) -> None:
    damaged = shutil.copytree(places.train, tmp_path / "train")
    image = damaged / "0003_c1s1_000000_00.jpg"
    image.write_bytes(image.read_bytes()[:300])
    spec = make_spec("dataset", tmp_path, f"dataset.train_dataset_dir={damaged}", f"dataset.on_bad_image={choice}")

    if choice == "skip":
        assert dataset(spec).figures["train_images"] == 42
        assert image.name in (tmp_path / "dataset" / "report.json").read_text()
    else:
        with pytest.raises(DataError, match=r"0003_c1s1_000000_00\.jpg.*on_bad_image=skip"):
            dataset(spec)


def test_without_any_place_there_is_nothing_to_do(make_spec: MakeSpec, tmp_path: Path) -> None:
    nowhere = [f"dataset.{key}_dataset_dir=" for key in ("train", "query", "test")]

    with pytest.raises(SpecError, match=r"none of dataset\.train_dataset_dir"):
        dataset(make_spec("dataset", tmp_path, *nowhere))


def test_a_missing_folder_is_named(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        dataset(make_spec("dataset", tmp_path, f"dataset.train_dataset_dir={tmp_path}/nowhere"))
