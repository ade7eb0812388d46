"""From a training to what follows: never an older network in silence, and a record that reproduces what was done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from reid.actions.evaluate import evaluate
from reid.actions.export import export
from reid.actions.register import register
from reid.actions.select import select
from reid.actions.train import train
from reid.errors import CheckpointError, SpecError
from reid.spec.load import load_spec
from tests.actions.conftest import MakeSpec, Places, draw
from tests.actions.helpers import status


def copied(trained: Path, to: Path) -> Path:
    shutil.copytree(trained, to, symlinks=True)
    return to


def read(path: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return value


def test_a_refused_action_leaves_the_record_of_the_good_one(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    results = copied(trained, tmp_path / "copy")
    before = {name: (results / "train" / name).read_text() for name in ("experiment.yaml", "run.json", "metrics.csv")}

    with pytest.raises(SpecError, match=r"train\.optim\.base_lr"):
        train(make_spec("train", results, "train.optim.base_lr=0.9"))

    assert {name: (results / "train" / name).read_text() for name in before} == before
    assert status(results / "train")[-1]["status"] == "FAILURE"


def test_a_selection_of_a_training_that_was_replaced_is_refused(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    results = copied(trained, tmp_path / "copy")
    select(make_spec("select", results))
    evaluate(make_spec("evaluate", results))
    train(make_spec("train", results, "train.if_exists=restart", "train.seed=5", "train.num_epochs=1"))

    with pytest.raises(CheckpointError, match="selected from a training that is no longer in"):
        evaluate(make_spec("evaluate", results))

    select(make_spec("select", results))
    evaluate(make_spec("evaluate", results))
    assert read(results / "evaluate/metrics.json")["checkpoint_epoch"] == 0


@pytest.mark.parametrize("content", ['{"checkpoint": "model.pth"}', "{", "[]"])
def test_a_selection_that_cannot_be_read_says_to_select_again(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, content: str
) -> None:
    results = copied(trained, tmp_path / "copy")
    (results / "select").mkdir()
    (results / "select" / "selection.json").write_text(content)

    with pytest.raises(CheckpointError, match=r"selection\.json is damaged(.|\n)*run select again"):
        evaluate(make_spec("evaluate", results))


def test_the_record_of_an_evaluation_names_the_checkpoint_and_repeats_it(
    trained: Path, places: Places, tmp_path: Path
) -> None:
    # No model section: the network is the checkpoint's.
    given = [
        f"results_dir={tmp_path}",
        "device=cpu",
        f"dataset.cache_dir={tmp_path}/cache",
        f"evaluate.parent_run={trained}",
        f"evaluate.query_dataset={places.query}",
        f"evaluate.test_dataset={places.gallery}",
    ]
    evaluate(load_spec("evaluate", None, given).spec)
    first = read(tmp_path / "evaluate/metrics.json")
    record = tmp_path / "evaluate/experiment.yaml"
    recorded = yaml.safe_load(record.read_text())
    assert recorded["evaluate"]["checkpoint"] == str((trained / "train/model_best.pth").resolve())
    assert recorded["evaluate"]["output_cmc_curve_plot"] == str(tmp_path / "evaluate/cmc_curve.png")
    assert recorded["model"]["backbone"] == "test_resnet"

    evaluate(load_spec("evaluate", record, [f"results_dir={tmp_path}/again"]).spec)

    assert read(tmp_path / "again/evaluate/metrics.json") == first


def test_a_checkpoint_and_a_parent_run_together_are_refused(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    both = (f"evaluate.parent_run={trained}", f"evaluate.checkpoint={trained}/train/model_best.pth")

    with pytest.raises(SpecError, match="are both set"):
        evaluate(make_spec("evaluate", tmp_path, *both))


def test_the_train_folder_alone_is_enough_to_find_the_checkpoint(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    alone = ("results_dir=", f"train.results_dir={trained}/train", f"export.results_dir={tmp_path}/export")

    result = export(make_spec("export", tmp_path, *alone))

    assert result.files["onnx"].is_file()


def test_an_epoch_that_was_not_validated_is_selected_without_another_epochs_figures(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    train(
        make_spec("train", tmp_path, "train.num_epochs=3", "train.validation_interval=2", "train.keep_checkpoints=-1")
    )

    asked = ("select.method=from_epoch_number", "select.epoch_number=0")
    first = select(make_spec("select", tmp_path / "first", f"select.run={tmp_path}", *asked))
    second = select(
        make_spec("select", tmp_path / "second", f"select.run={tmp_path}", asked[0], "select.epoch_number=1")
    )

    assert "mAP" not in first.figures
    assert "mAP" in second.figures


def test_other_gallery_images_begin_the_training_anew_when_changes_do(
    make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    train(make_spec("train", tmp_path, "train.num_epochs=1"))
    gallery = tmp_path / "gallery"
    shutil.copytree(places.gallery, gallery)
    draw(gallery / "0021_c5s1_000009_00.jpg", 21, 999)
    changed = (f"dataset.test_dataset_dir={gallery}", "train.num_epochs=1", "train.if_exists=restart_if_changed")

    train(make_spec("train", tmp_path, *changed))

    messages = [record["message"] for record in status(tmp_path / "train")]
    assert not any("Resuming" in message for message in messages)
    assert messages.count("Train metrics generated.") == 2


def test_the_best_checkpoint_of_a_training_without_others_is_not_taken_for_a_new_ones(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    (tmp_path / "train").mkdir()
    shutil.copy(trained / "train/model_best.pth", tmp_path / "train/model_best.pth")

    with pytest.raises(SpecError, match=r"holds model_best\.pth of an earlier training"):
        train(make_spec("train", tmp_path))

    assert (tmp_path / "train/model_best.pth").is_file()


def test_registering_without_tracking_says_so_and_ends_well(make_spec: MakeSpec, tmp_path: Path) -> None:
    result = register(make_spec("register", tmp_path))

    assert read(result.files["registration"]) == {"registered": False, "reason": "mlflow.enable is false"}
