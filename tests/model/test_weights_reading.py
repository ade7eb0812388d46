"""What is in a file: safetensors, values that other programs leave beside the tensors, and what is refused."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from reid.errors import CheckpointError
from reid.model.weights.reading import read_weights


def test_safetensors_give_the_tensors_that_were_saved(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.arange(4.0)}, tmp_path / "model.safetensors")

    weights, network = read_weights(tmp_path / "model.safetensors")

    assert network is None
    assert weights["conv1.weight"].tolist() == [0, 1, 2, 3]


def test_a_truncated_safetensors_file_is_named_as_such(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1000)}, tmp_path / "model.safetensors")
    os.truncate(tmp_path / "model.safetensors", 500)

    with pytest.raises(CheckpointError, match=r"cannot be read as safetensors \(500 bytes\).*truncated"):
        read_weights(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "beside",
    [
        {"lr_schedulers": [{"milestones": OmegaConf.create([40, 70])}], "spec": OmegaConf.create({"a": {"b": 1.5}})},
        {"rank1": np.float64(0.91), "mAP": np.mean(np.float32([0.5, 0.7])), "curve": np.arange(3.0), "ok": np.bool_(1)},
        {"args": argparse.Namespace(arch="swin_tiny", lr=0.1)},
    ],
    ids=["TAO", "torchreid", "SOLIDER"],
)
def test_plain_values_of_other_programs_do_not_stand_in_the_way(beside: dict[str, object], tmp_path: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.ones(2)}, **beside}, tmp_path / "model.pth.tar-60")

    weights, _ = read_weights(tmp_path / "model.pth.tar-60")

    assert weights["conv1.weight"].tolist() == [1, 1]


class Anything:
    """Of no package, so that no list of harmless classes has it."""


def test_an_object_of_another_class_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.ones(2)}, "trainer": Anything()}, tmp_path / "model.pth")

    with pytest.raises(CheckpointError, match="more than tensors and plain values"):
        read_weights(tmp_path / "model.pth")


def test_a_file_without_named_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "model": {"note": "none"}}, tmp_path / "weights.pth")

    with pytest.raises(CheckpointError, match="holds no named tensors"):
        read_weights(tmp_path / "weights.pth")
