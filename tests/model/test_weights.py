"""Initial weights: prefixes of other programs, what did not match, and no silent random start."""

from __future__ import annotations

import dataclasses
import logging
import socket
import time
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from reid.errors import CheckpointError
from reid.model.backbone import build_backbone
from reid.model.settings import NetworkSettings
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


def test_of_a_checkpoint_with_a_moving_average_the_average_is_taken(tmp_path: Path) -> None:
    average, last, ours = (backbone(seed) for seed in (1, 2, 3))
    state = {f"network.backbone.{name}": tensor for name, tensor in last.state_dict().items()}
    ema = {f"backbone.{name}": tensor for name, tensor in average.state_dict().items()}
    torch.save({"state_dict": state, "ema": ema}, tmp_path / "weights.pth")

    load_file(ours, tmp_path / "weights.pth")

    assert same(ours, average)


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


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("vit_tiny_patch16_224", "pos_embed"),
        ("swin_tiny_patch4_window7_224", "layers.3.blocks.1.attn.relative_position_bias_table"),
    ],
)
def test_position_tables_of_square_images_do_not_start_at_random_in_an_upright_network(
    name: str, positions: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = NetworkSettings(name, 3, 256, 128)
    torch.manual_seed(1)
    square = timm.create_model(name, num_classes=0)
    torch.save(square.state_dict(), tmp_path / "weights.pth")
    # timm's own loader, the other way round: it makes the network and puts the weights in
    expected = timm.create_model(
        name, num_classes=0, img_size=(256, 128), pretrained=True,
        pretrained_cfg_overlay={"state_dict": square.state_dict()},
    ).state_dict()  # fmt: skip
    ours = build_backbone(settings)

    report = load_file(ours, tmp_path / "weights.pth", settings=settings)

    assert square.state_dict()[positions].shape != expected[positions].shape
    assert (report.missing, report.mismatched) == ((), ())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def checkpoint_of(backbone: nn.Module, settings: NetworkSettings) -> dict[str, object]:
    state = {f"network.backbone.{name}": tensor for name, tensor in backbone.state_dict().items()}
    return {"state_dict": state, "reid": {"network": settings.to_dict()}}


@pytest.mark.parametrize(("height", "width"), [(64, 32), (128, 32)])
def test_positions_of_an_upright_network_of_ours_stay_where_they_were(height: int, width: int, tmp_path: Path) -> None:
    trained = NetworkSettings("test_vit", 3, 64, 32)  # 16 x 16 patches: 4 rows of 2, behind the class token
    theirs = build_backbone(trained)
    rows = torch.arange(4.0)[:, None].expand(4, 2).reshape(1, 8, 1)
    with torch.no_grad():
        theirs.get_parameter("pos_embed")[:, 1:] = rows
    torch.save(checkpoint_of(theirs, trained), tmp_path / "model.pth")
    settings = dataclasses.replace(trained, input_height=height, input_width=width)
    ours = build_backbone(settings)

    report = load_file(ours, tmp_path / "model.pth", settings=settings)

    assert report.mismatched == ()
    grid = ours.get_parameter("pos_embed").detach()[0, 1:, 0].view(height // 16, width // 16)
    assert torch.equal(grid[:, 0], grid[:, 1])  # rows are still rows ...
    assert (grid[1:, 0] > grid[:-1, 0]).all()  # ... in their order from top to bottom
    if height == trained.input_height:
        assert same(ours, theirs)


def test_a_tensor_that_cannot_be_resampled_is_a_warning_that_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(timm.create_model("cait_xxs24_224", num_classes=0).state_dict(), tmp_path / "weights.pth")

    report = load_file(build_backbone(NetworkSettings("cait_xxs24_224", 3, 64, 32)), tmp_path / "weights.pth")

    assert report.mismatched == ("pos_embed (1, 196, 192) for (1, 8, 192)",)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "starts from random values: pos_embed (1, 196, 192) for (1, 8, 192)" in warning


def test_weights_of_another_network_are_refused_with_names_of_both(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "vit.pth")

    with pytest.raises(CheckpointError, match=r"of the backbone's \d+ tensors .* wanted for example .*model\.backbone"):
        load_file(backbone(1), tmp_path / "vit.pth")


def test_a_file_without_named_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "weights.pth")

    with pytest.raises(CheckpointError, match="holds no named tensors"):
        load_file(backbone(1), tmp_path / "weights.pth")


def test_imagenet_weights_that_cannot_be_had_are_a_quick_error_not_a_random_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as silent:  # takes connections and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        network = backbone(1, "resnet_18")
        started = time.monotonic()

        with pytest.raises(CheckpointError, match=r"pretrain_choice=imagenet.*pretrained_model_path=FILE"):
            load_imagenet(network, "resnet_18")

    assert time.monotonic() - started < 15
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["does not answer" in record.getMessage() for record in warnings] == [True]
