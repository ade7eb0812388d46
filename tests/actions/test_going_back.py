"""Going on from a checkpoint that was named: with other settings, with its seed, and from earlier in its own folder."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest

from reid.actions.recipes.person_training import PersonTraining
from reid.actions.resume import starting_point
from reid.actions.train import train
from reid.errors import CheckpointError, ReidError, SpecError
from reid.files import sha256_of
from reid.model.checkpoint import load_checkpoint
from reid.model.selection import BEST, LATEST
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import equal, latest_weights, names, rows

NAMED = "train.resume_training_checkpoint_path"


def of_epoch(results: Path, epoch: int) -> Path:
    (path,) = (results / "train").glob(f"model_epoch_{epoch:03d}_*.pth")
    return path


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """The results of the shared training, to be changed."""
    return shutil.copytree(trained, tmp_path / "copy", symlinks=True)


def go_back(make_spec: MakeSpec, results: Path, start: Path) -> None:
    spec = make_spec("train", results, f"{NAMED}={start}")
    found = starting_point(
        spec, results / "train", fingerprints={}, network=PersonTraining().network(spec, num_classes=6)
    )
    assert found
    assert found.path == start.resolve()


def test_a_diverged_training_goes_on_as_its_error_advises(copy: Path, make_spec: MakeSpec) -> None:
    harmful = ("train.num_epochs=4", f"{NAMED}={copy / 'train' / LATEST}", "model.triplet_loss_weight=1e300")
    with pytest.raises(ReidError) as caught:
        train(make_spec("train", copy, *harmful))
    assert not isinstance(caught.value, SpecError)
    advised = re.search(rf"{re.escape(NAMED)}=[^ ,]+", caught.value.fix)
    assert advised

    train(make_spec("train", copy, "train.num_epochs=4", "train.optim.base_lr=0.0001", "train.grad_clip=1", advised[0]))

    assert [row["epoch"] for row in rows(copy / "train")] == ["0", "1", "2", "3"]


def test_an_unseeded_training_goes_on_with_the_seed_it_drew(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    drawn = load_checkpoint(of_epoch(trained, 1))

    train(make_spec("train", tmp_path, "train.seed=-1", f"{NAMED}={drawn.path}"))

    assert load_checkpoint(tmp_path / "train" / LATEST).provenance["seed"] == drawn.provenance["seed"]
    assert equal(latest_weights(tmp_path / "train"), latest_weights(trained / "train"))


def test_a_transformer_of_another_input_size_is_refused_in_words(make_spec: MakeSpec, tmp_path: Path) -> None:
    vit = ("model.backbone=test_vit", "train.num_epochs=1", "model.input_height=32")
    train(make_spec("train", tmp_path, *vit))
    start = of_epoch(tmp_path, 0)

    with pytest.raises(CheckpointError, match=r"input_height is 32 in the checkpoint and 64 here.*pretrained_model"):
        train(make_spec("train", tmp_path / "larger", "model.backbone=test_vit", f"{NAMED}={start}"))


def test_a_convolutional_network_goes_on_with_another_input_size(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec("train", tmp_path, "model.input_height=96", f"{NAMED}={of_epoch(trained, 0)}")
    network = PersonTraining().network(spec, num_classes=6)

    assert starting_point(spec, tmp_path / "train", fingerprints={}, network=network)


def test_going_back_removes_the_abandoned_checkpoints_and_names_them(
    copy: Path, make_spec: MakeSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first, later = of_epoch(copy, 0), [of_epoch(copy, 1), of_epoch(copy, 2)]
    (copy / "train" / "model_epoch_007.pth").write_bytes(b"of TAO")
    (copy / "train" / "notes.txt").write_text("mine")

    with caplog.at_level(logging.WARNING, logger="reid"):
        train(make_spec("train", copy, f"{NAMED}={first}", "train.num_epochs=2", "train.optim.base_lr=0.001"))

    (line,) = [record.message for record in caplog.records if record.name == "reid.actions.abandoned"]
    assert all(path.name in line for path in later)
    assert not later[1].exists()
    assert {first.name, "model_epoch_007.pth", "notes.txt"} <= names(copy / "train")
    assert load_checkpoint(copy / "train" / LATEST).spec["train"]["optim"]["base_lr"] == 0.001
    assert [row["epoch"] for row in rows(copy / "train")] == ["0", "1"]
    best = load_checkpoint(copy / "train" / BEST)
    assert best.epoch == 0 or best.spec["train"]["optim"]["base_lr"] == 0.001


def test_the_best_checkpoint_of_the_abandoned_future_makes_way_for_the_best_until_then(
    copy: Path, make_spec: MakeSpec
) -> None:
    first, folder = of_epoch(copy, 0), copy / "train"
    shutil.copyfile(of_epoch(copy, 2), folder / BEST)

    go_back(make_spec, copy, first)

    assert sha256_of(folder / BEST) == sha256_of(first)
    assert (folder / LATEST).resolve() == first.resolve()


def test_a_best_checkpoint_of_the_past_stays(copy: Path, make_spec: MakeSpec) -> None:
    folder = copy / "train"
    shutil.copyfile(of_epoch(copy, 0), folder / BEST)

    go_back(make_spec, copy, folder / BEST)

    assert sha256_of(folder / BEST) == sha256_of(of_epoch(copy, 0))
    assert not list(folder.glob("model_epoch_00[12]_*.pth"))


def test_going_on_from_another_folder_or_from_the_latest_removes_nothing(
    copy: Path, trained: Path, make_spec: MakeSpec, caplog: pytest.LogCaptureFixture
) -> None:
    before = names(copy / "train")

    with caplog.at_level(logging.WARNING, logger="reid"):
        go_back(make_spec, copy, of_epoch(trained, 0))
        with pytest.raises(SpecError, match="cannot be made shorter"):
            starting_point(
                spec := make_spec("train", copy, f"{NAMED}={of_epoch(copy, 2)}", "train.num_epochs=2"),
                copy / "train", fingerprints={}, network=PersonTraining().network(spec, num_classes=6),
            )  # fmt: skip
        go_back(make_spec, copy, copy / "train" / LATEST)

    assert names(copy / "train") == before
    assert not [record for record in caplog.records if record.name == "reid.actions.abandoned"]
