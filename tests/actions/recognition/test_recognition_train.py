"""`train` of classes: TAO's figures and names, rates of trunk and embedder, frozen parts, resume, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from reid.actions.dataset import dataset, inspect
from reid.actions.train import train
from reid.errors import DataError, SpecError
from reid.model.checkpoint import load_checkpoint
from tests.actions.helpers import equal, names, rows, status
from tests.actions.recognition.conftest import KNOWN, TRAIN_IMAGES, MakeSpec, Places

FIGURES = {
    "val Precision at Rank 1", "val Mean Average Precision", "val Mean Reciprocal Rank", "val r-Precision", "val_AMI",
    "val_NMI",
}  # fmt: skip
LATEST = "ml_model_latest.pth"


def weights(results: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(results / "train" / LATEST).weights


def test_a_training_writes_taos_files_under_taos_names(learnt: Path) -> None:
    folder = learnt / "train"
    assert names(folder) >= {LATEST, "model_best.pth", "metrics.csv", "training.png", "status.json", "experiment.yaml"}
    assert (folder / LATEST).readlink().name.startswith("model_epoch_001_step_")
    assert "reid_model_latest.pth" not in names(folder)


def test_every_epoch_has_taos_figures_in_metrics_and_status(learnt: Path) -> None:
    written = rows(learnt / "train")
    assert len(written) == 2
    for row in written:
        assert set(row) >= FIGURES
        assert 0 <= float(row["val Precision at Rank 1"]) <= 1
    told = [line["kpi"] for line in status(learnt / "train") if line["message"] == "Eval metrics generated."]
    assert [kpi["val Precision at Rank 1"] for kpi in told] == [
        float(row["val Precision at Rank 1"]) for row in written
    ]


def test_the_status_speaks_of_metric_learning_recognition(learnt: Path) -> None:
    messages = [line["message"] for line in status(learnt / "train")]
    assert messages[0] == "Starting Metric Learning Recognition train."
    assert not [message for message in messages if "ReIdentification" in message]


def test_the_rates_of_trunk_and_embedder_leave_the_warm_up(learnt: Path) -> None:
    """In TAO both stay at the first step's factor for the whole training."""
    written = rows(learnt / "train")
    first, last = 0.00035 * (0.01 * 0.5 + 0.5), 0.00035  # of two epochs of linear warm-up, counted from 1
    for part in ("trunk", "embedder"):
        rates = [float(row[f"{part}_base_lr"]) for row in written]
        assert rates == pytest.approx([first, last])
    told = [line["kpi"] for line in status(learnt / "train") if line["message"] == "Train metrics generated."]
    assert told[-1]["embedder_base_lr"] == pytest.approx(last)


def test_a_checkpoint_knows_the_names_of_its_classes(learnt: Path) -> None:
    provenance = load_checkpoint(learnt / "train" / LATEST).provenance
    assert provenance["train_classes"] == sorted(KNOWN)
    assert provenance["train_images"] == TRAIN_IMAGES * len(KNOWN)


def test_the_result_of_a_training_holds_taos_figures(learnt: Path, make_recognition: MakeSpec) -> None:
    result = train(make_recognition("train", learnt))  # it is finished, and tells once more
    assert set(result.figures) >= FIGURES | {"cmc_rank_1", "best_epoch"}
    assert result.files["latest"].name == LATEST


def test_a_resumed_training_equals_one_that_was_never_interrupted(
    learnt: Path, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    """The second epoch draws its own batches, crops, turns and blurs, and goes on with Adam's averages."""
    shutil.copytree(learnt / "train", tmp_path / "train", symlinks=True)
    for later in tmp_path.glob("train/model_epoch_001_*"):
        later.unlink()
    (tmp_path / "train" / LATEST).unlink()
    (tmp_path / "train" / "model_best.pth").unlink()

    train(make_recognition("train", tmp_path))

    assert equal(weights(tmp_path), weights(learnt))
    assert rows(tmp_path / "train") == rows(learnt / "train")


@pytest.mark.parametrize(("frozen", "other"), [("trunk", "embedder"), ("embedder", "trunk")])
def test_a_part_that_is_not_trained_keeps_its_weights_to_the_bit(
    frozen: str, other: str, learnt: Path, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    start = learnt / "train" / "model_best.pth"
    own = (f"model.pretrained_model_path={start}", f"train.train_{frozen}=false", "train.num_epochs=1")
    train(make_recognition("train", tmp_path, *own))

    before, after = load_checkpoint(start).weights, weights(tmp_path)
    counters = "num_batches_tracked"  # no weights, and not taken from a file
    changed = {n for n in before if not n.endswith(counters) and not torch.equal(before[n], after[n])}
    of = {"trunk": "backbone.", "embedder": "embedder."}
    assert not [name for name in changed if name.startswith(of[frozen])]
    assert [name for name in changed if name.startswith(of[other])]


@pytest.mark.parametrize(
    "change",
    [
        "train.smooth_loss=false", "train.clip_grad_norm=0.001", "dataset.random_rotation=true",
        "dataset.num_instance=8", "train.optim.embedder.base_lr=0.01", "train.optim.name=SGD",
    ],
)  # fmt: skip
def test_a_key_changes_what_one_epoch_makes_of_the_same_weights(
    change: str, learnt: Path, make_recognition: MakeSpec, tmp_path: Path, one_epoch: dict[str, torch.Tensor]
) -> None:
    train(make_recognition("train", tmp_path, *ONE_EPOCH, change))
    assert not equal(weights(tmp_path), one_epoch)


ONE_EPOCH = (
    "train.num_epochs=1", "train.optim.warmup_iters=1", "dataset.val_dataset.query=", "dataset.val_dataset.reference=",
)  # fmt: skip


@pytest.fixture(scope="module")
def one_epoch(make_recognition: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("one")
    train(make_recognition("train", folder, *ONE_EPOCH))
    return weights(folder)


def test_the_same_epoch_gives_the_same_weights(
    make_recognition: MakeSpec, tmp_path: Path, one_epoch: dict[str, torch.Tensor]
) -> None:
    """What the tests above hold against."""
    train(make_recognition("train", tmp_path, *ONE_EPOCH))
    assert equal(weights(tmp_path), one_epoch)


def copied(places: Places, folder: Path) -> dict[str, Path]:
    return {
        name: Path(shutil.copytree(getattr(places, name), folder / name)) for name in ("train", "reference", "query")
    }


def refused(make_recognition: MakeSpec, folder: Path, places: dict[str, Path], *overrides: str) -> str:
    """What `train` says; it must not have begun."""
    keys = {"train": "train_dataset", "reference": "val_dataset.reference", "query": "val_dataset.query"}
    given = [f"dataset.{keys[name]}={place}" for name, place in places.items()]
    with pytest.raises(DataError) as error:
        train(make_recognition("train", folder / "results", *given, *overrides))
    assert names(folder / "results" / "train") == {"status.json"}
    assert status(folder / "results" / "train")[-1]["status"] == "FAILURE"
    return str(error.value)


def test_an_empty_class_folder_is_refused_by_name(classes: Places, make_recognition: MakeSpec, tmp_path: Path) -> None:
    places = copied(classes, tmp_path)
    (places["reference"] / "quince").mkdir()
    assert "in the reference folder" in (said := refused(make_recognition, tmp_path, places))
    assert "holds no image: quince" in said


def test_a_query_class_without_reference_is_refused_by_name(
    classes: Places, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    places = copied(classes, tmp_path)
    shutil.rmtree(places["reference"] / "lime")
    said = refused(make_recognition, tmp_path, places)
    assert "1 class of the query folder" in said
    assert ": lime" in said
    assert "gallery" not in said


def test_a_training_set_of_one_class_is_refused_by_name(
    classes: Places, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    places = copied(classes, tmp_path)
    for name in sorted(KNOWN)[1:]:
        shutil.rmtree(places["train"] / name)
    assert "has 1 class apple (8 images)" in refused(make_recognition, tmp_path, places)


def test_a_class_map_that_misses_a_class_is_refused_by_its_name(
    classes: Places, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    (tmp_path / "map.yaml").write_text("".join(f"{name}: {name.title()}\n" for name in KNOWN if name != "fig"))
    said = refused(make_recognition, tmp_path, copied(classes, tmp_path), f"dataset.class_map={tmp_path / 'map.yaml'}")
    assert "the class map has no entry for fig" in said


def test_a_batch_of_one_class_is_refused_by_the_spec_before_anything_is_read(
    make_recognition: MakeSpec, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match="is one class in a batch"):
        make_recognition("train", tmp_path, "train.batch_size=4")


def test_a_check_of_the_data_does_not_mind_the_batch_of_a_training(make_recognition: MakeSpec, tmp_path: Path) -> None:
    spec = make_recognition("dataset", tmp_path, "train.batch_size=4")
    assert inspect(spec).refusal is None
    result = dataset(spec)
    assert result.figures == {
        "train_images": 48, "train_classes": 6, "query_images": 12, "query_classes": 6, "reference_images": 18,
        "reference_classes": 6,
    }  # fmt: skip
    report: dict[str, Any] = json.loads((tmp_path / "dataset" / "report.json").read_text())
    assert report["subsets"]["query"]["classes"] == dict.fromkeys(sorted(KNOWN), 2)


def test_a_training_without_query_and_reference_says_which_keys_would_validate_it(
    make_recognition: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "reid.actions.train"):
        train(make_recognition("train", tmp_path, *ONE_EPOCH))
    assert "neither dataset.val_dataset.query nor dataset.val_dataset.reference is set" in caplog.text


def test_a_diverged_training_names_the_keys_and_classes_of_this_family(
    make_recognition: MakeSpec, tmp_path: Path
) -> None:
    wild = ("train.optim.trunk.base_lr=1", "train.optim.embedder.base_lr=1", "train.optim.name=SGD")
    pixels = "dataset.pixel_std=[1e-38,1e-38,1e-38]"  # so small that the network's input is infinite
    with pytest.raises(Exception, match=r"of the classes .*train\.clip_grad_norm=1\.0") as error:
        train(make_recognition("train", tmp_path, *ONE_EPOCH, *wild, pixels))
    assert "identities" not in str(error.value)


@pytest.mark.slow  # it starts a second process, which imports the engine
def test_two_processes_with_half_the_batch_each_train_as_one(make_recognition: MakeSpec, tmp_path: Path) -> None:
    """train.batch_size is that of each process, and triplets are mined in the batch of both."""
    plain = (*ONE_EPOCH, "train.optim.name=SGD", "dataset.num_instance=4")
    train(make_recognition("train", tmp_path / "one", *plain, "train.batch_size=16"))
    train(make_recognition("train", tmp_path / "two", *plain, "train.batch_size=8", "train.num_gpus=2"))

    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5, msg=name)
    losses = [float(rows(tmp_path / name / "train")[0]["train_loss"]) for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
