"""Going on with a training: equal to never having stopped, and never silently with another experiment's checkpoint."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from reid.actions.train import train
from reid.errors import CheckpointError, SpecError
from tests.actions.conftest import MakeSpec, Places, draw
from tests.actions.helpers import equal, latest_weights, names, require_whole_description, rows, status


def copied(trained: Path, to: Path) -> Path:
    shutil.copytree(trained, to, symlinks=True)
    return to


def test_a_resumed_training_equals_an_uninterrupted_one(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    train(make_spec("train", tmp_path, "train.num_epochs=1"))
    train(make_spec("train", tmp_path))

    assert rows(tmp_path / "train") == rows(trained / "train")
    assert equal(latest_weights(tmp_path / "train"), latest_weights(trained / "train"))
    assert any(r["message"].startswith("Resuming training from checkpoint: ") for r in status(tmp_path / "train"))


def test_a_training_stopped_inside_an_epoch_goes_on_with_the_batches_that_are_left(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    by_step = ("train.checkpoint_interval_unit=step", "train.checkpoint_interval=1", "train.keep_checkpoints=-1")
    train(make_spec("train", tmp_path / "whole", *by_step))
    inside = tmp_path / "whole" / "train" / "model_epoch_001_step_00006.pth"
    for path in (inside, *inside.parent.glob("*.pth")):
        require_whole_description(path)

    train(make_spec("train", tmp_path / "resumed", f"train.resume_training_checkpoint_path={inside}"))

    assert equal(latest_weights(tmp_path / "resumed" / "train"), latest_weights(trained / "train"))
    resumed = (tmp_path / "resumed" / "train" / "metrics.csv").read_text().splitlines()
    first = dict(zip(resumed[0].split(","), resumed[1].split(","), strict=True))
    assert first["epoch"] == "1"
    assert float(first["seconds"]) < 60  # of this epoch, not since the machine started
    whole = rows(trained / "train")
    assert float(first["learning_rate"]) == float(whole[1]["learning_rate"])
    assert rows(tmp_path / "resumed" / "train")[-1] == whole[-1]


def test_a_finished_training_is_left_as_it_is_and_says_so_first(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = copied(trained, tmp_path / "copy")

    with caplog.at_level(logging.INFO, logger="reid"):
        result = train(make_spec("train", results))

    assert "has all of its 3 epochs: nothing is left to train" in caplog.text
    assert "resuming from" not in caplog.text
    assert rows(results / "train") == rows(trained / "train")
    assert names(results / "train") == names(trained / "train")
    assert result.figures["epochs"] == 3


def test_fewer_epochs_than_were_done_end_in_words_not_in_lightnings_error(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    results = copied(trained, tmp_path / "copy")

    with pytest.raises(SpecError, match=r"train\.num_epochs"):
        train(make_spec("train", results, "train.num_epochs=2"))


def test_other_settings_in_the_same_folder_are_refused_and_named(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    results = copied(trained, tmp_path / "copy")

    with pytest.raises(SpecError) as caught:
        train(make_spec("train", results, "train.optim.base_lr=0.01", "dataset.padding=2"))

    assert "train.optim.base_lr was 0.00035 and is 0.01" in caught.value.found
    assert "dataset.padding was 10 and is 2" in caught.value.found
    assert "train.if_exists=restart" in caught.value.fix
    assert equal(latest_weights(results / "train"), latest_weights(trained / "train"))


def test_other_training_images_in_the_same_folder_are_refused(
    trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    results = copied(trained, tmp_path / "copy")
    shutil.copytree(places.train, tmp_path / "train")
    draw(tmp_path / "train" / "0001_c1s1_000099_00.jpg", 1, 12345)

    with pytest.raises(SpecError, match="the training images are others"):
        train(make_spec("train", results, f"dataset.train_dataset_dir={tmp_path / 'train'}"))


def test_restart_if_changed_begins_anew_only_when_something_changed(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    results = copied(trained, tmp_path / "copy")
    before = {path.name: path.stat().st_mtime_ns for path in (results / "train").glob("model_epoch_*")}

    train(make_spec("train", results, "train.if_exists=restart_if_changed"))
    assert {path.name: path.stat().st_mtime_ns for path in (results / "train").glob("model_epoch_*")} == before

    train(make_spec("train", results, "train.if_exists=restart_if_changed", "train.num_epochs=1"))
    assert [row["epoch"] for row in rows(results / "train")] == ["0"]
    assert len(list((results / "train").glob("model_epoch_*"))) == 1


def test_restart_replaces_the_checkpoints_that_were_there(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    results = copied(trained, tmp_path / "copy")

    train(make_spec("train", results, "train.if_exists=restart", "train.seed=9", "train.num_epochs=1"))

    assert [row["epoch"] for row in rows(results / "train")] == ["0"]
    assert len(list((results / "train").glob("model_epoch_*.pth"))) == 1


def test_a_named_checkpoint_of_another_place_is_resumed_and_its_best_is_kept_here(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    first = next((trained / "train").glob("model_epoch_000_*"))

    train(make_spec("train", tmp_path, f"train.resume_training_checkpoint_path={first}"))

    assert rows(tmp_path / "train") == rows(trained / "train")[1:]
    assert equal(latest_weights(tmp_path / "train"), latest_weights(trained / "train"))
    assert "model_best.pth" in names(tmp_path / "train")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.feat_dim=16", "feat_dim is 32 in the checkpoint and 16 here"),
        ("model.backbone=test_efficientnet", "backbone is test_resnet in the checkpoint"),
        ("train.optim.name=SGD", "the optimiser was Adam and is SGD"),
    ],
)
def test_a_named_checkpoint_of_another_network_is_refused(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, override: str, message: str
) -> None:
    best = trained / "train" / "model_best.pth"

    with pytest.raises(CheckpointError, match=message):
        train(make_spec("train", tmp_path, f"train.resume_training_checkpoint_path={best}", override))


def test_a_named_checkpoint_of_other_identities_is_refused(
    trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"
    fewer = shutil.copytree(places.train, tmp_path / "train", ignore=shutil.ignore_patterns("0008*"))

    with pytest.raises(CheckpointError, match="num_classes is 6 in the checkpoint and 5 here"):
        train(
            make_spec(
                "train", tmp_path / "results", f"train.resume_training_checkpoint_path={best}",
                f"dataset.train_dataset_dir={fewer}",
            )
        )  # fmt: skip
