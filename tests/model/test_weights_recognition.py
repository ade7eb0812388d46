"""Files of trunks, embedders and whole networks, under TAO's names written out here and under ours."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reid.errors import CheckpointError
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings
from reid.model.weights.recognition import WeightFile, load_embedder, load_parts

State = dict[str, Tensor]
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

DUAL_HEAD = {
    "blocks.0.fc1": "classifier_feat.0",
    "blocks.0.fc2": "classifier_feat.2",
    "blocks.1.fc1": "classifier_feat2.0",
    "blocks.1.fc2": "classifier_feat2.2",
    "blocks.2.fc1": "classifier_feat3.0",
    "blocks.2.fc2": "classifier_feat3.2",
    "blocks.3.fc1": "classifier_feat4.0",
    "blocks.3.fc2": "classifier_feat4.2",
    "norm": "embedding_fc.0",
    "fc": "embedding_fc.1",
}
"""Our names of the residual embedder's layers, and TAO's."""


def network(seed: int, embedder: str = "linear", feat_dim: int = 8) -> ReidNetwork:
    torch.manual_seed(seed)
    backbone = "resnet_18" if embedder == "linear" else "test_vit"
    built = ReidNetwork(
        NetworkSettings(
            backbone, 3, 64, 64, feat_dim=feat_dim, embedder=embedder, neck="", id_loss_type="none",  # type: ignore[arg-type]
            last_stride=2, stem_relu=True,
        )
    )  # fmt: skip
    for tensor in built.state_dict().values():
        if tensor.ndim == 1 and tensor.dtype == torch.float32:
            tensor.add_(0.2 * torch.rand_like(tensor))
    return built.eval()


def embedder_of_tao(net: ReidNetwork) -> State:
    """The embedder's tensors under TAO's names."""
    state = net.embedder.state_dict()
    if "weight" in state:
        names = {f"{layer}.{kind}": state[kind] for layer in ("net.0", "last_linear") for kind in ("weight", "bias")}
        return dict(names)
    return {
        f"{theirs}.{kind}": state[f"{ours}.{kind}"] for ours, theirs in DUAL_HEAD.items() for kind in ("weight", "bias")
    }


def whole_of_tao(net: ReidNetwork, trunk: str = "model.trunk.", embedder: str = "model.embedder.") -> State:
    return {trunk + name: tensor for name, tensor in net.backbone.state_dict().items()} | {
        embedder + name: tensor for name, tensor in embedder_of_tao(net).items()
    }


def saved(folder: Path, name: str, state: object) -> WeightFile:
    torch.save(state, folder / name)
    return WeightFile(folder / name)


def same(a: nn.Module, b: nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in a.state_dict().items())


@pytest.mark.parametrize("kind", ["linear", "residual"])
def test_a_checkpoint_of_tao_gives_trunk_and_embedder(kind: str, tmp_path: Path) -> None:
    theirs, ours = network(1, kind), network(2, kind)

    reports = load_parts(ours, whole=saved(tmp_path, "tao.pth", {"state_dict": whole_of_tao(theirs), "epoch": 3}))

    report = reports["whole"]
    assert (report.layout, report.parts, report.missing) == ("tao-ml-recog", ("embedder",), ())
    assert torch.equal(ours(IMAGES), theirs(IMAGES))


def test_the_first_version_of_tao_numbers_trunk_and_embedder(tmp_path: Path) -> None:
    theirs, ours = network(1), network(2)

    reports = load_parts(ours, whole=saved(tmp_path, "tao.pth", whole_of_tao(theirs, "0.", "1.")))

    assert (reports["whole"].layout, reports["whole"].parts) == ("tao-ml-recog-1", ("embedder",))
    assert torch.equal(ours(IMAGES), theirs(IMAGES))


def test_trunk_embedder_and_whole_network_come_from_three_files_and_the_whole_stands_over_both(tmp_path: Path) -> None:
    first, second, third, ours = (network(seed) for seed in (1, 2, 3, 4))
    trunk = saved(tmp_path, "trunk.pth", whole_of_tao(first))
    embedder = saved(tmp_path, "embedder.pth", embedder_of_tao(second))
    whole = saved(tmp_path, "whole.pth", whole_of_tao(third))

    reports = load_parts(ours, trunk=trunk, embedder=embedder)

    assert same(ours.backbone, first.backbone)
    assert same(ours.embedder, second.embedder)
    assert reports["trunk"].parts == ()
    assert list(reports["trunk"].left_out) == [
        "it is the layer net.0 under a second name",
        "model.pretrained_trunk_path gives the trunk alone",
    ]
    assert str(reports["embedder"]).startswith(f"2 of 2 embedder tensors from {embedder.path}")
    assert reports["embedder"].to_dict()["embedder_tensors"] == 2

    load_parts(ours, trunk=trunk, embedder=embedder, whole=whole)

    assert same(ours, third)


@pytest.mark.parametrize("prefix", ["", "embedder.", "model.embedder.", "module."])
@pytest.mark.parametrize("kind", ["linear", "residual"])
@pytest.mark.parametrize("tao", [True, False])
def test_an_embedder_is_found_under_taos_names_and_ours_with_every_usual_prefix(
    prefix: str, kind: str, tao: bool, tmp_path: Path
) -> None:
    theirs, ours = network(1, kind), network(2, kind)
    state = embedder_of_tao(theirs) if tao else theirs.embedder.state_dict()

    report = load_embedder(ours, saved(tmp_path, "e.pth", {prefix + name: t for name, t in state.items()}))

    assert same(ours.embedder, theirs.embedder)
    assert (report.loaded, report.missing, report.mismatched) == (report.total, (), ())


def test_the_embedder_of_a_whole_network_can_be_taken_alone(tmp_path: Path) -> None:
    theirs, ours = network(1), network(2)

    load_embedder(ours, saved(tmp_path, "whole.pth", whole_of_tao(theirs)))

    assert same(ours.embedder, theirs.embedder)
    assert not same(ours.backbone, theirs.backbone)


def test_a_whole_network_with_another_embedder_gives_its_trunk_and_says_which_shapes_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs, ours = network(1, feat_dim=16), network(2)
    before = {name: tensor.clone() for name, tensor in ours.embedder.state_dict().items()}

    with caplog.at_level(logging.WARNING, "reid"):
        report = load_parts(ours, whole=saved(tmp_path, "whole.pth", whole_of_tao(theirs)))["whole"]

    assert same(ours.backbone, theirs.backbone)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.embedder.state_dict().items())
    assert any("(16,)" in reason and "(8,)" in reason and "model.feat_dim" in reason for reason in report.left_out)
    assert "no embedder that fits: this network's starts from random values" in caplog.text


def test_an_embedder_file_of_another_size_is_refused_with_both_shapes(tmp_path: Path) -> None:
    file = saved(tmp_path, "e.pth", embedder_of_tao(network(1, feat_dim=16)))

    with pytest.raises(CheckpointError, match=r"0 of the embedder's 2 tensors.*bias \(16,\) for \(8,\).*feat_dim"):
        load_embedder(network(2), file)


def test_a_trunk_file_of_another_network_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, "trunk.pth", network(1, "residual").backbone.state_dict())

    with pytest.raises(CheckpointError, match=r"trunk\.pth.*has 0 of the \d+ tensors of model\.backbone=resnet_18"):
        load_parts(network(2), trunk=file)


def test_our_own_checkpoint_gives_both_parts(tmp_path: Path) -> None:
    theirs, ours = network(1), network(2)
    state = {f"network.{name}": tensor for name, tensor in theirs.state_dict().items()}
    content = {"reid": {"network": theirs.settings.to_dict()}, "state_dict": state}

    report = load_parts(ours, whole=saved(tmp_path, "own.pth", content))["whole"]

    assert (report.layout, report.parts, report.left_out) == ("reid", ("embedder",), {})
    assert same(ours, theirs)
