"""Initial weights: prefixes of other programs, what did not match, and no silent random start."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from reid.errors import CheckpointError
from reid.model.network import NetworkSettings, build_backbone
from reid.model.weights import load_file, load_imagenet


def backbone(seed: int, name: str = "test_resnet") -> nn.Module:
    torch.manual_seed(seed)
    return build_backbone(NetworkSettings(name, 3, 64, 32))


def same(a: nn.Module, b: nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in a.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "network.backbone.", "model.module.base."])
@pytest.mark.parametrize("container", ["", "state_dict", "model"])
def test_weights_are_found_under_every_usual_prefix_and_container(tmp_path: Path, prefix: str, container: str) -> None:
    theirs, ours = backbone(1), backbone(2)
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    torch.save({container: state, "epoch": 3} if container else state, tmp_path / "weights.pth")

    report = load_file(ours, tmp_path / "weights.pth")

    assert same(ours, theirs)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())


def test_the_report_names_what_did_not_match(tmp_path: Path) -> None:
    state = backbone(1).state_dict()
    state["classifier.weight"] = torch.zeros(3, 8)
    state["conv1.0.weight"] = torch.zeros(2, 2)
    del state["bn1.bias"]
    torch.save(state, tmp_path / "weights.pth")

    report = load_file(backbone(2), tmp_path / "weights.pth")

    assert report.missing == ("bn1.bias",)
    assert report.unused == ("classifier.weight",)
    assert report.mismatched[0].startswith("conv1.0.weight (2, 2) for ")
    assert "not in it: bn1.bias" in str(report)
    assert f"{report.loaded} of {report.loaded + 2} backbone tensors" in str(report)


def test_the_learned_exponent_of_gem_pooling_is_a_weight_like_any_other(tmp_path: Path) -> None:
    settings = NetworkSettings("test_resnet", 3, 64, 32, gem_pooling=True)
    theirs, ours = build_backbone(settings), build_backbone(settings)
    nn.init.constant_(theirs.get_parameter("global_pool.p"), 4.5)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")

    load_file(ours, tmp_path / "weights.pth")

    assert float(ours.get_parameter("global_pool.p").detach()) == 4.5


def test_weights_of_another_network_are_refused_with_names_of_both(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "vit.pth")

    with pytest.raises(CheckpointError, match=r"of the backbone's \d+ tensors .* wanted for example .*model\.backbone"):
        load_file(backbone(1), tmp_path / "vit.pth")


def test_a_file_without_named_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "weights.pth")

    with pytest.raises(CheckpointError, match="holds no named tensors"):
        load_file(backbone(1), tmp_path / "weights.pth")


def test_imagenet_weights_that_cannot_be_had_are_a_quick_error_not_a_random_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()

    with pytest.raises(CheckpointError, match=r"pretrain_choice=imagenet.*pretrained_model_path=FILE"):
        load_imagenet(backbone(1, "resnet_18"), "resnet_18")

    assert time.monotonic() - started < 10
