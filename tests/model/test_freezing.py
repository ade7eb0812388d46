"""A frozen warm-up: the backbone stays as it is, all else learns, and the thaw is an ordinary step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reid.model.extract import evaluation_mode
from reid.model.module import ReidModule
from reid.model.settings import NetworkSettings
from tests.model.fitting import content, equal, module, train

LEARNS = {"network.reduction.weight", "network.reduction.bias", "network.neck.weight", "network.classifier.weight"}


def adam() -> ReidModule:
    return module(optimizer="Adam", weight_decay=0.1)


def validated(trained: Any) -> dict[str, float]:
    with evaluation_mode(trained.network):
        return {"cmc_rank_1": 0.5, "mAP": 0.5}


def backbone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith("network.backbone.")}


def test_a_frozen_backbone_keeps_weights_and_statistics_through_steps_validations_and_weight_decay(
    tmp_path: Path,
) -> None:
    trained = adam()
    start = {name: value.clone() for name, value in trained.state_dict().items()}

    train(tmp_path, epochs=3, trained=trained, measure=validated, freeze_backbone_epochs=2)

    frozen, thawed = (content(tmp_path, f"model_epoch_00{epoch}_*") for epoch in (1, 2))
    assert equal(backbone(frozen["state_dict"]), backbone(start))
    assert not any(torch.equal(frozen["state_dict"][name], start[name]) for name in LEARNS)
    changed = {name for name, value in thawed["state_dict"].items() if not torch.equal(value, start[name])}
    assert {"network.backbone.conv1.0.weight", "network.backbone.bn1.running_mean"} <= changed
    assert all(p.requires_grad for p in trained.network.backbone.parameters())


def test_side_information_and_jigsaw_stay_with_a_frozen_vision_transformer(tmp_path: Path) -> None:
    vit = NetworkSettings("test_vit", 2, 64, 32, jpm=True, devide_length=2, sie_camera=True, cameras=(1, 2))
    trained = module(optimizer="Adam", settings=vit)
    start = {name: value.clone() for name, value in trained.state_dict().items()}

    train(tmp_path, epochs=1, trained=trained, freeze_backbone_epochs=1)

    learnt = {name for name, value in trained.state_dict().items() if not torch.equal(value, start[name])}
    assert {name.split(".")[1] for name in learnt} == {"reduction", "neck", "classifier", "parts"}


def test_frozen_weights_have_no_moments_that_would_push_when_they_thaw(tmp_path: Path) -> None:
    train(tmp_path, epochs=2, trained=adam(), freeze_backbone_epochs=1)

    (frozen,), (thawed,) = (content(tmp_path, f"model_epoch_00{epoch}_*")["optimizer_states"] for epoch in (0, 1))
    assert len(frozen["state"]) == len(LEARNS)
    steps = [int(state["step"]) for state in thawed["state"].values()]
    assert (steps.count(4), steps.count(2)) == (len(LEARNS), len(steps) - len(LEARNS))  # two steps an epoch


def test_a_resume_inside_the_frozen_epochs_equals_an_uninterrupted_training(tmp_path: Path) -> None:
    settings = {"checkpoint_unit": "step", "checkpoint_interval": 1, "freeze_backbone_epochs": 1}
    train(tmp_path / "whole", epochs=2, trained=adam(), **settings)
    inside = tmp_path / "whole" / "model_epoch_000_step_00001.pth"

    train(tmp_path / "resumed", epochs=2, trained=adam(), resume_from=inside, **settings)

    whole, resumed = (content(tmp_path / run, "model_epoch_001_step_00004.pth") for run in ("whole", "resumed"))
    assert equal(whole["state_dict"], resumed["state_dict"])
    assert equal(whole["optimizer_states"], resumed["optimizer_states"])
