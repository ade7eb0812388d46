"""Which settings a training may go on with, also where the checkpoint is of a version with other keys."""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from pathlib import Path

import pytest

from reid.actions.changes import changes
from reid.model.checkpoint import Checkpoint, load_checkpoint
from tests.actions.conftest import MakeSpec


@pytest.fixture
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained / "train" / "reid_model_latest.pth")


def fingerprints(checkpoint: Checkpoint) -> dict[str, str]:
    provenance = checkpoint.provenance
    return {"train": provenance["train_fingerprint"], **provenance["validation_fingerprints"]}


def of_an_earlier_version(checkpoint: Checkpoint) -> Checkpoint:
    spec = deepcopy(checkpoint.spec)
    for key in ("compile", "ema_decay", "keep_checkpoints", "early_stopping"):
        del spec["train"][key]
    del spec["train"]["optim"]["layer_decay"], spec["dataset"]["keep_on_gpu"], spec["model"]["id_loss_type"]
    del spec["dataset"]["color_augmentation"], spec["evaluate"]
    spec["train"]["magic"] = 7
    return dataclasses.replace(checkpoint, spec=spec)


@pytest.mark.parametrize("strict", [False, True])
def test_keys_that_came_or_went_with_a_version_are_no_changes(
    checkpoint: Checkpoint, make_spec: MakeSpec, tmp_path: Path, strict: bool
) -> None:
    earlier = of_an_earlier_version(checkpoint)

    assert changes(make_spec("train", tmp_path), earlier, fingerprints(checkpoint), strict=strict) == []


def test_a_new_key_with_another_value_than_its_default_is_a_change(
    checkpoint: Checkpoint, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec("train", tmp_path, "train.ema_decay=0.9", "dataset.color_augmentation.enabled=true")

    assert changes(spec, of_an_earlier_version(checkpoint), fingerprints(checkpoint), strict=False) == [
        "dataset.color_augmentation.enabled was False and is True", "train.ema_decay was 0.0 and is 0.9",
    ]  # fmt: skip


@pytest.mark.parametrize("override", ["train.compile=off", "dataset.keep_on_gpu=off", "dataset.num_workers=2"])
def test_what_changes_the_speed_alone_may_change(
    checkpoint: Checkpoint, make_spec: MakeSpec, tmp_path: Path, override: str
) -> None:
    spec = make_spec("train", tmp_path, override)

    assert changes(spec, checkpoint, fingerprints(checkpoint), strict=True) == []


@pytest.mark.parametrize("key", ["keep_checkpoints", "early_stopping"])
def test_what_decides_which_checkpoints_stay_counts_only_where_results_follow_from_the_spec(
    checkpoint: Checkpoint, make_spec: MakeSpec, tmp_path: Path, key: str
) -> None:
    spec = make_spec("train", tmp_path, f"train.{key}=1")

    assert changes(spec, checkpoint, fingerprints(checkpoint), strict=False) == []
    (changed,) = changes(spec, checkpoint, fingerprints(checkpoint), strict=True)
    assert changed.startswith(f"train.{key} was ")


def test_what_validation_ranks_by_is_a_change_and_the_rest_of_evaluate_is_not(
    checkpoint: Checkpoint, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec("train", tmp_path, "evaluate.l2_normalise=false", "evaluate.batch_size=3")

    assert changes(spec, checkpoint, fingerprints(checkpoint), strict=False) == []
    assert len(changes(spec, checkpoint, fingerprints(checkpoint), strict=True)) == 1
