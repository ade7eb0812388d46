"""Networks of a trunk and an embedder: what they compute, what they hold, and which trunks there are."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from reid.errors import SpecError
from reid.model.backbone import build_backbone
from reid.model.embedder import ResidualEmbedder
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def settings(backbone: str, embedder: str, **changes: object) -> NetworkSettings:
    plain = {"neck": "", "id_loss_type": "none", "last_stride": 2, "stem_relu": True, "feat_dim": 8}
    return NetworkSettings(backbone, 3, 64, 64, embedder=embedder, **(plain | changes))  # type: ignore[arg-type]


def network(backbone: str, embedder: str, **changes: object) -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork(settings(backbone, embedder, **changes)).eval()


def trunk_vectors(net: ReidNetwork) -> Tensor:
    vectors: Tensor = net.backbone.forward_head(net.backbone.forward_features(IMAGES), pre_logits=True)
    return vectors


@pytest.mark.parametrize("trunk", ["test_resnet", "test_vit"])
def test_a_linear_embedder_is_one_layer_on_the_trunks_vector(trunk: str) -> None:
    net = network(trunk, "linear")

    expected = trunk_vectors(net) @ net.embedder.weight.T + net.embedder.bias

    torch.testing.assert_close(net(IMAGES), expected)
    assert net.embedding_dim == 8


def test_a_residual_embedder_is_tao_s_dual_head_at_the_trunks_width() -> None:
    net = network("test_vit", "residual")
    blocks = [(f"embedder.blocks.{i}.fc1", f"embedder.blocks.{i}.fc2") for i in range(4)]
    state = net.state_dict()
    x = trunk_vectors(net)
    width = x.shape[1]

    for first, second in blocks:
        hidden = x @ state[f"{first}.weight"].T + state[f"{first}.bias"]
        assert hidden.shape == (2, width // 2)
        gelu = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = x + gelu @ state[f"{second}.weight"].T + state[f"{second}.bias"]
    normed = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = normed @ state["embedder.fc.weight"].T + state["embedder.fc.bias"]

    torch.testing.assert_close(net(IMAGES), expected)
    assert net.embedding_dim == width


def test_without_an_identity_loss_there_is_no_classifier_and_every_tensor_is_of_trunk_or_embedder() -> None:
    net = network("test_resnet", "linear")

    (branch,) = net.training_output(IMAGES)

    assert branch.head is None
    assert {name.split(".")[0] for name in net.state_dict()} == {"backbone", "embedder"}
    assert torch.equal(branch.features, net(IMAGES))


def test_trunk_and_embedder_have_each_module_once() -> None:
    net = network("test_resnet", "linear", id_loss_type="softmax", neck="bnneck")
    trunk, embedder = net.part("trunk"), net.part("embedder")

    assert list(trunk) == ["backbone"]
    assert {name for name, module in embedder.items() if list(module.parameters())} == {
        "embedder",
        "neck",
        "classifier",
    }


def test_tao_s_resnet_of_metric_learning_is_torchvisions_with_relu_in_the_stem_and_stride_2_at_the_end() -> None:
    net = network("resnet_18", "linear")
    reference = timm.create_model("resnet18", num_classes=0).eval()
    reference.load_state_dict(net.backbone.state_dict())

    torch.testing.assert_close(trunk_vectors(net), reference(IMAGES))
    assert isinstance(network("resnet_18", "", stem_relu=False).backbone.act1, nn.Identity)


def test_nvidias_dinov2_has_swiglu_of_5472_and_takes_images_of_any_multiple_of_14_pixels() -> None:
    with torch.device("meta"):  # shapes without 1.2 GB of weights
        vit = build_backbone(
            NetworkSettings("nvdinov2_vit_large_legacy", 3, 56, 28, embedder="residual", id_loss_type="none")
        )
        shapes = {name: tuple(tensor.shape) for name, tensor in vit.state_dict().items()}
        vector = vit.forward_head(vit.forward_features(torch.zeros(1, 3, 56, 28)), pre_logits=True)

    assert shapes["blocks.23.mlp.fc1.weight"] == (5472, 1024)
    assert shapes["blocks.23.mlp.fc2.weight"] == (1024, 2736)
    assert shapes["pos_embed"] == (1, 1 + 4 * 2, 1024)
    assert "blocks.23.ls2.gamma" in shapes
    assert vector.shape == (1, 1024)


@pytest.mark.parametrize("name", ["fan_tiny", "fan_small", "fan_base", "fan_large"])
def test_a_fan_network_is_refused_with_a_network_that_timm_has(name: str) -> None:
    with pytest.raises(SpecError, match=r"FAN networks are in TAO alone.*choose (xcit_\w+)") as caught:
        ReidNetwork(settings(name, "residual"))

    assert timm.is_model(str(caught.value).split("choose ")[1].split(",")[0])


def test_the_residual_embedder_starts_near_the_trunks_vector_plus_a_small_change() -> None:
    embedder = ResidualEmbedder(64)
    vectors = torch.randn(4, 64, generator=torch.Generator().manual_seed(3))

    change = embedder.blocks[0](vectors) - vectors

    assert 0 < float(change.detach().norm() / vectors.norm()) < 0.5
