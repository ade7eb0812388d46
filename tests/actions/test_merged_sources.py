"""Training on several folders: what the actions write of them, and what they notice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from reid.actions.dataset import dataset, inspect
from reid.actions.train import train
from reid.cli.dataset_table import notes
from reid.errors import DataError, SpecError
from reid.model.checkpoint import load_checkpoint
from tests.actions.conftest import MakeSpec, Places, draw

MORE = "dataset.more_train_dataset_dirs"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Two people under numbers and file names that the first folder has too."""
    folder = tmp_path / "second"
    folder.mkdir()
    for pid in (1, 7):
        for i in range(4):
            draw(folder / f"{pid:04d}_c{1 + i % 2}s1_{i:06d}_00.jpg", pid + 100, 900 + 10 * pid + i)
    return folder


def test_the_dataset_action_counts_each_folder_and_lists_images_by_folder_with_their_own_numbers(
    make_spec: MakeSpec, second: Path, tmp_path: Path
) -> None:
    result = dataset(make_spec("dataset", tmp_path, f"{MORE}=[{second}]"))

    figures = {name: value for name, value in result.figures.items() if name.startswith("train")}
    assert figures == {
        "train_images": 51, "train_identities": 8,
        "train_1_images": 43, "train_1_identities": 6, "train_2_images": 8, "train_2_identities": 2,
    }  # fmt: skip
    index = json.loads((tmp_path / "dataset" / "index.json").read_text())
    same_name = [image for image in index["train"] if image["file"] == "0007_c1s1_000000_00.jpg"]
    assert [(image["source"], image["pid"], image["camid"]) for image in same_name] == [(1, 7, 1), (2, 7, 1)]
    assert same_name[0]["sha256"] != same_name[1]["sha256"]
    assert "source" not in index["query"][0]
    report = json.loads((tmp_path / "dataset" / "report.json").read_text())
    assert [source["identities"] for source in report["subsets"]["train"]["sources"]] == [6, 2]


def test_the_table_of_a_check_names_each_folder(
    make_spec: MakeSpec, places: Places, second: Path, tmp_path: Path
) -> None:
    told = list(notes(inspect(make_spec("dataset", tmp_path, f"{MORE}=[{second}]")).subsets.report))

    assert told[0] == "train: 2 folders, whose identities and cameras are kept apart"
    assert told[1:3] == [f"train_1: {places.train}", "  43 images, 6 identities, 2 cameras"]
    assert f"train_2: {second}" in told


def test_a_checkpoint_of_merged_folders_tells_the_original_number_of_each_class(
    make_spec: MakeSpec, second: Path, tmp_path: Path
) -> None:
    one_epoch = (f"{MORE}=[{second}]", "train.num_epochs=1", "dataset.camera_balanced=true")
    train(make_spec("train", tmp_path, *one_epoch))

    checkpoint = load_checkpoint(tmp_path / "train" / "model_best.pth")
    assert checkpoint.pids == (1, 2, 3, 4, 7, 8, 1_000_001, 1_000_007)
    assert checkpoint.network.num_classes == 8
    sources = checkpoint.provenance["train_sources"]
    assert [(source["images"], source["cameras"], source["pid_offset"]) for source in sources] == [
        (43, [1, 2], 0),
        (8, [1, 2], 1_000_000),
    ]
    assert checkpoint.provenance["train_cameras"] == [1, 2, 1_000_001, 1_000_002]

    # Another image in the second folder is another training set: a resume refuses it, and a restart follows it.
    draw(second / "0007_c2s1_000009_00.jpg", 107, 999)
    with pytest.raises(SpecError, match="the training images are others"):
        train(make_spec("train", tmp_path, *one_epoch))
    train(make_spec("train", tmp_path, *one_epoch, "train.if_exists=restart_if_changed"))
    assert load_checkpoint(tmp_path / "train" / "model_best.pth").provenance["train_sources"][1]["images"] == 9
    with pytest.raises(SpecError, match="the training images are others"):
        train(make_spec("train", tmp_path, "train.num_epochs=1", "dataset.camera_balanced=true"))


@pytest.mark.parametrize("action", [dataset, train])
def test_a_copy_of_the_training_images_as_a_second_source_is_refused(
    make_spec: MakeSpec, places: Places, tmp_path: Path, action: object
) -> None:
    copy = shutil.copytree(places.train, tmp_path / "copy")

    with pytest.raises(DataError, match=rf"{re.escape(str(places.train))} and .*copy hold the same 43 images"):
        action(make_spec("train", tmp_path, f"{MORE}=[{copy}]"))  # type: ignore[operator]


def test_an_empty_further_source_is_named_with_its_key(make_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=rf"train_2 folder .*empty \({MORE}\) holds no image"):
        train(make_spec("train", tmp_path, f"{MORE}=[{tmp_path}/empty]"))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ((f"{MORE}=[a,b,a]",), "name a twice"),
        ((f"{MORE}=[a]", "dataset.train_dataset_dir=a"), "name a twice"),
        ((f"{MORE}=[a]", "dataset.train_dataset_dir="), r"names 1 source\(s\).*set dataset.train_dataset_dir=a"),
        ((f"{MORE}=['']",), "empty place"),
    ],
)
def test_a_source_named_twice_or_without_a_first_one_is_told_before_anything_is_read(
    make_spec: MakeSpec, tmp_path: Path, overrides: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        make_spec("train", tmp_path, *overrides)
