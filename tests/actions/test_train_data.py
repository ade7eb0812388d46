"""How a training reads its images: where they lie, which are drawn together, and what the log says of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from reid.actions.recipes.person_training import PersonTraining
from reid.actions.train import train
from reid.data.auto_augment import AutoAugment
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import equal, latest_weights, rows


def test_a_training_set_on_the_device_gives_the_weights_of_one_on_the_host(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train(make_spec("train", tmp_path, "dataset.keep_on_gpu=on"))

    assert "43 training images of 64x32, 0.00 GB: kept in the memory of cpu" in caplog.text
    assert equal(latest_weights(tmp_path / "train"), latest_weights(trained / "train"))
    assert rows(tmp_path / "train") == rows(trained / "train")


def test_camera_balance_changes_the_batches_and_so_the_weights(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    train(make_spec("train", tmp_path, "dataset.camera_balanced=true"))

    assert not equal(latest_weights(tmp_path / "train"), latest_weights(trained / "train"))


def test_auto_augment_is_part_of_the_augmentation_where_its_probability_is_above_0(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    assert PersonTraining().augmentation(make_spec("train", tmp_path)).auto_augment is None
    assert PersonTraining().augmentation(
        make_spec("train", tmp_path, "dataset.auto_augment_prob=0.3")
    ).auto_augment == AutoAugment(0.3)
