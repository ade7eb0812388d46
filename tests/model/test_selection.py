"""Which file of a train folder is meant: every rule on real listings."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.errors import CheckpointError
from reid.files import replace_link
from reid.model.selection import (
    BEST,
    LATEST,
    checkpoint_name,
    latest_checkpoint,
    list_checkpoints,
    select_checkpoint,
    train_folder,
)


def folder_with(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"weights")
    return folder


def test_a_checkpoint_is_named_as_tao_names_it() -> None:
    assert checkpoint_name(0, 99) == "model_epoch_000_step_00099.pth"
    assert checkpoint_name(1234, 1234567) == "model_epoch_1234_step_1234567.pth"


def test_checkpoints_are_listed_by_epoch_then_step_as_numbers(tmp_path: Path) -> None:
    names = ["model_epoch_009_step_00100.pth", "model_epoch_010_step_00110.pth", "model_epoch_010_step_00105.pth",
             "model_epoch_1000_step_99999.pth"]  # fmt: skip
    folder_with(tmp_path, *names, BEST, "model_epoch_x.pth", ".model_epoch_001_step_00001.pth.abcd.tmp", "notes.txt")

    listed = [(c.epoch, c.step) for c in list_checkpoints(tmp_path)]

    assert listed == [(9, 100), (10, 105), (10, 110), (1000, 99999)]


def test_taos_older_names_without_a_step_are_known(tmp_path: Path) -> None:
    folder_with(tmp_path, "model_epoch_000.pth", "model_epoch_019.pth")

    assert select_checkpoint(tmp_path, "latest_model").name == "model_epoch_019.pth"
    assert select_checkpoint(tmp_path, "from_epoch_number", epoch=0).name == "model_epoch_000.pth"


def test_best_model_is_the_best_and_never_silently_the_latest(tmp_path: Path) -> None:
    folder_with(tmp_path, "model_epoch_000_step_00010.pth", "model_epoch_001_step_00020.pth")

    with pytest.raises(CheckpointError, match=r"has no model_best\.pth.*select\.method=latest_model"):
        select_checkpoint(tmp_path, "best_model")

    folder_with(tmp_path, BEST)
    assert select_checkpoint(tmp_path, "best_model").name == BEST


def test_latest_is_where_the_link_points_else_the_highest_step(tmp_path: Path) -> None:
    folder_with(tmp_path, "model_epoch_000_step_00010.pth", "model_epoch_001_step_00020.pth")
    assert latest_checkpoint(tmp_path).name == "model_epoch_001_step_00020.pth"

    replace_link(tmp_path / LATEST, tmp_path / "model_epoch_000_step_00010.pth")
    assert latest_checkpoint(tmp_path).name == "model_epoch_000_step_00010.pth"

    (tmp_path / "model_epoch_000_step_00010.pth").unlink()
    assert latest_checkpoint(tmp_path).name == "model_epoch_001_step_00020.pth"


def test_an_epoch_with_several_checkpoints_means_its_last_one(tmp_path: Path) -> None:
    folder_with(tmp_path, "model_epoch_003_step_00030.pth", "model_epoch_003_step_00035.pth")

    assert select_checkpoint(tmp_path, "from_epoch_number", epoch=3).name == "model_epoch_003_step_00035.pth"


def test_an_epoch_that_was_not_saved_is_an_error_that_lists_the_epochs_there(tmp_path: Path) -> None:
    folder_with(tmp_path, "model_epoch_000_step_00010.pth", "model_epoch_004_step_00050.pth")

    with pytest.raises(CheckpointError, match=r"no checkpoint of epoch 3 .* has epochs 0, 4"):
        select_checkpoint(tmp_path, "from_epoch_number", epoch=3)
    with pytest.raises(CheckpointError, match=r"add select\.epoch_number=N.*epochs 0, 4"):
        select_checkpoint(tmp_path, "from_epoch_number")


def test_a_results_folder_means_the_train_folder_in_it(tmp_path: Path) -> None:
    folder_with(tmp_path / "train", "model_epoch_000_step_00010.pth")

    assert train_folder(tmp_path) == tmp_path / "train"
    assert train_folder(tmp_path / "train") == tmp_path / "train"


def test_a_wrong_folder_is_an_error_that_says_what_it_holds(tmp_path: Path) -> None:
    folder_with(tmp_path / "wrong", "metrics.csv")

    with pytest.raises(CheckpointError, match=r"no checkpoint in .*wrong.* holds metrics\.csv"):
        select_checkpoint(tmp_path / "wrong", "latest_model")
    with pytest.raises(CheckpointError, match=r"there is no folder .*missing"):
        select_checkpoint(tmp_path / "missing", "latest_model")
