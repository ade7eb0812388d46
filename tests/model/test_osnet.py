"""OSNet: the published sizes and names, the gate by hand, and its place in the re-identification network."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn

from reid.errors import SpecError
from reid.model.backbone import build_backbone
from reid.model.network import ReidNetwork, is_transformer
from reid.model.osnet import AggregationGate, OmniScaleBlock, build_osnet
from reid.model.settings import NetworkSettings


@pytest.mark.parametrize(
    ("name", "millions"), [("osnet_x1_0", 2.2), ("osnet_x0_75", 1.3), ("osnet_x0_5", 0.6), ("osnet_x0_25", 0.2)]
)
def test_each_osnet_has_the_published_number_of_parameters(name: str, millions: float) -> None:
    network = build_osnet(name)

    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions


def test_an_image_of_256x128_gives_maps_of_a_sixteenth_of_its_sides_and_512_numbers() -> None:
    network = build_osnet("osnet_x0_25").eval()

    with torch.inference_mode():
        maps = network.forward_features(torch.zeros(2, 3, 256, 128))
        vectors = network.forward_head(maps, pre_logits=True)

    assert maps.shape == (2, 128, 16, 8)
    assert vectors.shape == (2, 512)
    assert network.num_features == 512


def test_tensors_have_the_names_and_shapes_of_the_authors_files() -> None:
    state = build_osnet("osnet_x1_0").state_dict()

    assert {
        name: tuple(state[name].shape)
        for name in (
            "conv1.conv.weight",
            "conv1.bn.running_var",
            "conv2.0.conv1.conv.weight",
            "conv2.0.conv2a.conv1.weight",
            "conv2.0.conv2a.conv2.weight",
            "conv2.0.conv2d.3.bn.weight",
            "conv2.0.gate.fc1.bias",
            "conv2.0.gate.fc2.weight",
            "conv2.0.conv3.bn.bias",
            "conv2.0.downsample.conv.weight",
            "conv2.2.0.conv.weight",
            "conv4.1.conv2c.2.conv2.weight",
            "conv5.bn.running_mean",
            "fc.0.weight",
            "fc.1.running_mean",
        )
    } == {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv1.bn.running_var": (64,),
        "conv2.0.conv1.conv.weight": (64, 64, 1, 1),
        "conv2.0.conv2a.conv1.weight": (64, 64, 1, 1),
        "conv2.0.conv2a.conv2.weight": (64, 1, 3, 3),
        "conv2.0.conv2d.3.bn.weight": (64,),
        "conv2.0.gate.fc1.bias": (4,),
        "conv2.0.gate.fc2.weight": (64, 4, 1, 1),
        "conv2.0.conv3.bn.bias": (256,),
        "conv2.0.downsample.conv.weight": (256, 64, 1, 1),
        "conv2.2.0.conv.weight": (256, 256, 1, 1),
        "conv4.1.conv2c.2.conv2.weight": (128, 1, 3, 3),
        "conv5.bn.running_mean": (512,),
        "fc.0.weight": (512, 512),
        "fc.1.running_mean": (512,),
    }
    assert not [name for name in state if name.startswith(("conv2.1.downsample", "conv4.2"))]


def test_a_gate_of_zero_weights_and_bias_log_3_lets_three_quarters_through() -> None:
    gate = AggregationGate(16)
    for parameter in gate.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(gate.fc2.bias, float(torch.log(torch.tensor(3.0))))  # sigmoid(log 3) = 3 / 4
    stream = torch.randn(2, 16, 5, 3, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(gate(stream), 0.75 * stream)


def test_the_four_streams_see_3_5_7_and_9_pixels() -> None:
    block = OmniScaleBlock(64, 64).eval()
    for parameter in block.parameters():
        nn.init.ones_(parameter)
    point = torch.zeros(1, 16, 15, 15)
    point[0, :, 7, 7] = 1

    for letter, pixels in zip("abcd", (3, 5, 7, 9), strict=True):
        seen = block.get_submodule(f"conv2{letter}")(point) - block.get_submodule(f"conv2{letter}")(0 * point)
        assert int((seen[0, 0, 7] != 0).sum()) == pixels


def osnet(*, gem_pooling: bool = False) -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork(NetworkSettings("osnet_x0_25", 5, 64, 32, feat_dim=512, gem_pooling=gem_pooling)).eval()


def test_the_re_identification_network_keeps_the_512_numbers_and_pools_by_gem_where_asked() -> None:
    network = osnet(gem_pooling=True)
    assert isinstance(network.reduction, nn.Identity)
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        maps = network.backbone.forward_features(images).clamp(min=1e-6)
        pooled = maps.pow(3).mean(dim=(2, 3)).pow(1 / 3)

        torch.testing.assert_close(network.backbone(images), network.backbone.fc(pooled))


@pytest.mark.slow  # torch's exporter takes 12 s for the many small layers
def test_the_exported_network_computes_the_same(tmp_path: Path) -> None:
    network, images = osnet(), torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    path = str(tmp_path / "osnet.onnx")
    batch = {0: torch.export.Dim("batch", min=1)}

    torch.onnx.export(network, (images,), path, dynamo=True, dynamic_shapes={"images": batch}, verbose=False)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {session.get_inputs()[0].name: images[:2].numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(exported), network(images[:2]), atol=1e-5, rtol=1e-5)


def test_a_misspelt_osnet_is_answered_with_the_right_name() -> None:
    with pytest.raises(SpecError, match="did you mean osnet_x0_25"):
        build_backbone(NetworkSettings("osnet_x025", 5, 64, 32))


def test_an_osnet_is_no_transformer() -> None:
    assert not is_transformer("osnet_x1_0")
