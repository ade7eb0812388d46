"""Initial weights: what is taken, what is said about the rest, and no silent random start."""

from __future__ import annotations

import json
import logging
import socket
import time
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from reid.errors import CheckpointError, FetchError
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings
from reid.model.weights.loading import load_file, load_imagenet
from reid.model.weights.report import Mismatch


def network(seed: int, name: str = "test_resnet", height: int = 64, width: int = 32, **changes: object) -> ReidNetwork:
    torch.manual_seed(seed)
    built = ReidNetwork(NetworkSettings(name, 3, height, width, **changes)).eval()  # type: ignore[arg-type]
    for module in built.modules():  # running statistics that differ from one seed to the next, as trained ones do
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = 0.1 * torch.randn_like(module.running_mean)  # type: ignore[arg-type]
    return built


def same(a: nn.Module, b: nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in a.state_dict().items())


def saved(state: object, folder: Path) -> Path:
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "backbone.", "network.backbone.", "model.module.base.", "_orig_mod.model.", "module.backbone."],
)
@pytest.mark.parametrize("container", ["", "state_dict", "model", "teacher"])
def test_weights_are_found_under_every_usual_prefix_and_container(tmp_path: Path, prefix: str, container: str) -> None:
    theirs, ours = network(1), network(2)
    state = {prefix + name: tensor for name, tensor in theirs.backbone.state_dict().items()}

    report = load_file(ours, saved({container: state, "epoch": 3} if container else state, tmp_path))

    assert same(ours.backbone, theirs.backbone)
    assert (report.missing, report.mismatched, report.left_out) == ((), (), {})


def test_the_report_says_what_did_not_match_and_why(tmp_path: Path) -> None:
    state = network(1).backbone.state_dict()
    state["classifier.weight"] = torch.zeros(3, 8)
    state["conv1.0.weight"] = torch.zeros(2, 2)
    state["another.bias"] = torch.zeros(1)
    del state["bn1.bias"]

    report = load_file(network(2), saved(state, tmp_path))

    assert report.missing == ("bn1.bias",)
    assert report.mismatched == (Mismatch("conv1.0.weight", (2, 2), (16, 3, 3, 3)),)
    assert report.left_out == {
        "it tells apart the classes of the data it was trained on": ("classifier.weight",),
        "the network has no tensor of this name": ("another.bias",),
    }
    assert report.loaded == report.total - 2
    text = str(report)
    assert text.startswith(f"{report.loaded} of {report.total} backbone tensors from {tmp_path / 'weights.pth'}")
    assert "not in it: bn1.bias" in text
    assert "of another shape: conv1.0.weight (2, 2) for (16, 3, 3, 3)" in text
    assert "not taken: classifier.weight (it tells apart the classes" in text
    assert json.loads(json.dumps(report.to_dict()))["mismatched"] == [
        {"name": "conv1.0.weight", "in_source": [2, 2], "in_network": [16, 3, 3, 3]}
    ]


def test_the_learned_exponent_of_gem_pooling_is_a_weight_like_any_other(tmp_path: Path) -> None:
    theirs, ours = network(1, gem_pooling=True), network(2, gem_pooling=True)
    nn.init.constant_(theirs.backbone.get_parameter("global_pool.p"), 4.5)

    load_file(ours, saved(theirs.backbone.state_dict(), tmp_path))

    assert float(ours.backbone.get_parameter("global_pool.p").detach()) == 4.5


@pytest.mark.parametrize(
    ("name", "height", "positions"),
    [
        ("vit_tiny_patch16_224", 256, "pos_embed"),
        ("vit_tiny_patch16_224", 384, "pos_embed"),
        ("swin_tiny_patch4_window7_224", 256, "layers.3.blocks.1.attn.relative_position_bias_table"),
        pytest.param(
            "swin_tiny_patch4_window7_224", 384, "layers.3.blocks.1.attn.relative_position_bias_table",
            marks=pytest.mark.slow,  # timm resamples its tables by a slow loop
        ),
    ],
)  # fmt: skip
def test_position_tables_of_square_images_do_not_start_at_random_in_an_upright_network(
    name: str, height: int, positions: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(1)
    square = timm.create_model(name, num_classes=0)
    # timm's own loader, the other way round: it makes the network and puts the weights in
    expected = timm.create_model(
        name, num_classes=0, img_size=(height, 128), pretrained=True,
        pretrained_cfg_overlay={"state_dict": square.state_dict()},
    ).state_dict()  # fmt: skip
    ours = network(2, name, height, 128).eval()

    report = load_file(ours, saved(square.state_dict(), tmp_path))
    with torch.inference_mode():
        embedding = ours(torch.randn(1, 3, height, 128))

    assert torch.isfinite(embedding).all()
    assert square.state_dict()[positions].shape != expected[positions].shape
    assert (report.missing, report.mismatched) == ((), ())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.backbone.state_dict().items())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def checkpoint_of(network: ReidNetwork) -> dict[str, object]:
    """As `train` writes it, as far as initial weights go."""
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    block = {"format": 1, "epoch": 0, "step": 0, "network": network.settings.to_dict(), "preprocess": {}, "pids": [],
             "metrics": {}, "spec": {}, "provenance": {}}  # fmt: skip
    return {"state_dict": state, "reid": block}


def upright_positions(columns: int, rows: int, width: int) -> Tensor:
    """float [1, rows * columns, width]; each position holds the number of its row."""
    return torch.arange(float(rows))[:, None, None].expand(rows, columns, width).reshape(1, rows * columns, width)


def assert_rows_are_still_rows(positions: Tensor, rows: int, columns: int) -> None:
    grid = positions.detach()[0, 1:, 0].view(rows, columns)
    torch.testing.assert_close(grid, grid[:, :1].expand_as(grid))
    assert (grid[1:, 0] > grid[:-1, 0]).all()


@pytest.mark.parametrize(("height", "width"), [(64, 32), (128, 32)])
def test_positions_of_an_upright_network_of_ours_stay_where_they_were(height: int, width: int, tmp_path: Path) -> None:
    theirs = network(1, "test_vit")  # 16 x 16 patches: 4 rows of 2, behind the class token
    with torch.no_grad():
        theirs.backbone.get_parameter("pos_embed")[:, 1:] = upright_positions(2, 4, 64)
    ours = network(2, "test_vit", height, width)

    report = load_file(ours, saved(checkpoint_of(theirs), tmp_path))

    assert report.mismatched == ()
    assert_rows_are_still_rows(ours.backbone.get_parameter("pos_embed"), height // 16, width // 16)
    if height == theirs.settings.input_height:
        assert same(ours.backbone, theirs.backbone)


def test_positions_of_another_programs_upright_images_are_not_taken_for_a_square(tmp_path: Path) -> None:
    state = network(1, "test_vit", 256, 128).backbone.state_dict()
    state["pos_embed"][:, 1:] = upright_positions(8, 16, 64)
    ours = network(2, "test_vit", 128, 64)

    report = load_file(ours, saved(state, tmp_path))

    assert (report.missing, report.mismatched) == ((), ())
    assert_rows_are_still_rows(ours.backbone.get_parameter("pos_embed"), 8, 4)


def test_a_tensor_that_cannot_be_resampled_is_a_warning_that_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = timm.create_model("cait_xxs24_224", num_classes=0).state_dict()

    report = load_file(network(1, "cait_xxs24_224"), saved(state, tmp_path))

    assert report.mismatched == (Mismatch("pos_embed", (1, 196, 192), (1, 8, 192)),)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "starts from random values: pos_embed (1, 196, 192) for (1, 8, 192)" in warning


def test_weights_of_another_network_are_refused_with_names_of_both(tmp_path: Path) -> None:
    path = saved(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path)

    with pytest.raises(CheckpointError, match=r"has 0 of the \d+ tensors of model\.backbone=.*; in it are .* more"):
        load_file(network(1), path)


def test_a_checkpoint_of_ours_of_another_backbone_names_it(tmp_path: Path) -> None:
    path = saved(checkpoint_of(network(1, "test_vit", 160, 160)), tmp_path)

    with pytest.raises(CheckpointError, match=r"checkpoint of model\.backbone=test_vit.*set model\.backbone=test_vit"):
        load_file(network(1), path)


def test_a_checkpoint_of_ours_gives_backbone_reduction_and_neck_and_not_the_classifier(tmp_path: Path) -> None:
    theirs, ours = network(1, feat_dim=16), network(2, feat_dim=16)

    report = load_file(ours, saved(checkpoint_of(theirs), tmp_path))

    assert (report.layout, report.parts) == ("reid", ("reduction", "neck"))
    assert same(ours.backbone, theirs.backbone)
    assert same(ours.reduction, theirs.reduction)
    assert same(ours.neck, theirs.neck)
    assert not torch.equal(ours.classifier.weight, theirs.classifier.weight)
    assert list(report.left_out.values()) == [("network.classifier.weight",)]
    assert len(report.sha256) == 64


def test_of_a_checkpoint_with_a_moving_average_the_average_is_taken(tmp_path: Path) -> None:
    average, last, ours = (network(seed) for seed in (1, 2, 3))

    load_file(ours, saved(checkpoint_of(last) | {"ema": average.state_dict()}, tmp_path))

    assert same(ours.backbone, average.backbone)
    assert same(ours.neck, average.neck)


def test_a_neck_is_not_taken_without_the_reduction_it_stood_behind(tmp_path: Path) -> None:
    width = network(1).backbone.num_features
    theirs = network(1, feat_dim=width)  # no reduction: the neck is the backbone's
    ours = network(2, feat_dim=16)
    before = {name: tensor.clone() for name, tensor in ours.neck.state_dict().items()}

    report = load_file(ours, saved(checkpoint_of(theirs), tmp_path))

    assert report.parts == ()
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.neck.state_dict().items())
    (reason,) = [reason for reason, names in report.left_out.items() if "network.neck.weight" in names]
    assert f"its shape is ({width},), and here (16,)" in reason


def test_the_order_of_the_tensors_counts_where_no_name_is_known(tmp_path: Path) -> None:
    theirs, ours = network(1, gem_pooling=True), network(2, gem_pooling=True)
    plain = [(name, tensor) for name, tensor in theirs.backbone.state_dict().items() if "global_pool" not in name]
    state = {f"layer_{i}.{name.rpartition('.')[2]}": tensor for i, (name, tensor) in enumerate(plain)}
    classifier = {"end.weight": torch.zeros(9, 64), "end.bias": torch.zeros(9)}

    report = load_file(ours, saved(state | classifier, tmp_path))

    assert report.layout == "order"
    assert same(ours.backbone, theirs.backbone)
    assert report.missing == ("global_pool.p",)
    assert list(report.left_out.values()) == [("end.bias", "end.weight")]


def test_the_order_is_not_trusted_where_weights_and_biases_change_places(tmp_path: Path) -> None:
    swapped = {"weight": "bias", "bias": "weight"}
    state = {
        f"layer_{i}.{swapped.get(name.rpartition('.')[2], 'running')}": tensor
        for i, (name, tensor) in enumerate(network(1).backbone.state_dict().items())
    }

    with pytest.raises(CheckpointError, match="has 0 of the"):
        load_file(network(2), saved(state, tmp_path))


def test_an_osnet_has_no_imagenet_weights_in_timm() -> None:
    with pytest.raises(CheckpointError, match=r"osnet_x0_25.*timm.*has none of it.*pretrained_model_path=FILE"):
        load_imagenet(network(1, "osnet_x0_25"))


def test_imagenet_weights_that_cannot_be_had_are_a_quick_error_not_a_random_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as silent:  # takes connections and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        built = network(1, "resnet_18")
        started = time.monotonic()

        with pytest.raises(FetchError, match=r"hub cannot be reached.*pretrained_model_path=FILE"):
            load_imagenet(built)

    assert time.monotonic() - started < 15
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
