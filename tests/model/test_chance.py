"""Dropout and drop path: a resume draws what an uninterrupted training draws, and each step something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reid.model.checkpoint import load_checkpoint
from reid.model.settings import NetworkSettings
from tests.model.fitting import TINY, module, train

DROPOUT = replace(TINY, dropout_rate=0.5)
DROP_PATH = NetworkSettings("vit_tiny_patch16_224", 2, 64, 32, drop_path=0.5, drop_out=0.2)


@pytest.mark.parametrize("settings", [DROPOUT, DROP_PATH], ids=["dropout", "drop path"])
def test_a_resume_inside_an_epoch_drops_what_an_uninterrupted_training_drops(
    tmp_path: Path, settings: NetworkSettings
) -> None:
    by_step = {"checkpoint_interval": 1, "checkpoint_unit": "step"}
    whole, resumed, undropped = (module(settings=settings) for _ in range(3))
    train(tmp_path / "whole", epochs=2, trained=whole, **by_step)
    inside = tmp_path / "whole" / "model_epoch_001_step_00003.pth"
    assert load_checkpoint(inside).step == 3  # of four

    torch.manual_seed(77)  # whatever happened in the process before
    train(tmp_path / "resumed", epochs=2, trained=resumed, resume_from=inside)

    expected = whole.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.network.state_dict().items())
    for layer in undropped.network.modules():
        for name in ("p", "drop_prob"):
            if hasattr(layer, name):
                setattr(layer, name, 0.0)
    train(tmp_path / "undropped", epochs=2, trained=undropped)
    assert any(not torch.equal(tensor, expected[name]) for name, tensor in undropped.network.state_dict().items())
