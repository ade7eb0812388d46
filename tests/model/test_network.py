"""The network: what the backbones really are, where the embedding is taken, and pooling by loops."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from reid.errors import SpecError
from reid.model.backbone import GeneralisedMeanPooling, build_backbone
from reid.model.heads import SoftmaxHead
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings

HEIGHT, WIDTH = 64, 32


def settings(backbone: str = "test_resnet", **changes: object) -> NetworkSettings:
    values = {"num_classes": 5, "input_height": HEIGHT, "input_width": WIDTH, "feat_dim": 16, **changes}
    return NetworkSettings(backbone, **values)  # type: ignore[arg-type]


def network(backbone: str = "test_resnet", **changes: object) -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork(settings(backbone, **changes)).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "blocks"), [("resnet_18", [2, 2, 2, 2]), ("resnet_34", [3, 4, 6, 3])])
def test_small_resnets_have_basic_blocks_of_two_convolutions(name: str, blocks: list[int]) -> None:
    backbone = build_backbone(settings(name))
    stages = [backbone.get_submodule(f"layer{i}") for i in (1, 2, 3, 4)]

    assert [len(list(stage.children())) for stage in stages] == blocks
    for block in stages[3].children():
        assert isinstance(block, timm.models.resnet.BasicBlock)
        assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in block.modules()) == 2


@pytest.mark.parametrize("name", ["resnet_18", "resnet_50"])
def test_last_stride_1_doubles_the_resolution_without_dilation(name: str) -> None:
    shapes = {}
    for stride in (1, 2):
        backbone: nn.Module = build_backbone(settings(name, last_stride=stride)).eval()
        with torch.inference_mode():
            shapes[stride] = tuple(backbone.forward_features(images(1)).shape[2:])  # type: ignore[operator]
        assert all(m.dilation == (1, 1) for m in backbone.modules() if isinstance(m, nn.Conv2d))

    assert shapes == {1: (HEIGHT // 16, WIDTH // 16), 2: (HEIGHT // 32, WIDTH // 32)}


def test_taos_resnets_have_no_relu_in_the_stem_and_timms_have() -> None:
    assert isinstance(build_backbone(settings("resnet_18")).act1, nn.Identity)
    assert isinstance(build_backbone(settings("resnet18")).act1, nn.ReLU)


def test_the_bnneck_has_a_frozen_bias_and_the_classifier_none() -> None:
    net = network()

    assert isinstance(net.neck, nn.BatchNorm1d)
    assert not net.neck.bias.requires_grad
    assert net.neck.weight.requires_grad
    assert isinstance(net.classifier, SoftmaxHead)
    assert net.classifier.bias is None
    assert net.classifier.weight.std().item() == pytest.approx(0.001, rel=0.3)


def test_the_embedding_is_before_or_after_the_neck_as_asked() -> None:
    before, after = network(neck_feat="before"), network(neck_feat="after")
    assert isinstance(after.neck, nn.BatchNorm1d)
    for net in (before, after):
        nn.init.constant_(net.neck.running_mean, 0.5)  # type: ignore[arg-type, union-attr]
        nn.init.constant_(net.neck.running_var, 4.0)  # type: ignore[arg-type, union-attr]

    with torch.inference_mode():
        features = before(images())
        expected = (features - 0.5) / (4.0 + after.neck.eps) ** 0.5

        assert torch.allclose(after(images()), expected, atol=1e-6)


def test_metric_losses_see_the_features_before_and_the_head_the_embedding_after_the_neck() -> None:
    net = network()
    with torch.inference_mode():
        (branch,) = net.training_output(images())
        expected = net.neck(branch.features) @ net.classifier.weight.T

        assert branch.features.shape == (2, 16)
        assert branch.weight == 1.0
        assert torch.allclose(branch.head(branch.embedding), expected, atol=1e-6)


def test_without_a_neck_head_and_embedding_take_the_features() -> None:
    net = network(neck="")
    with torch.inference_mode():
        (branch,) = net.training_output(images())
        assert torch.equal(net(images()), branch.features)
        assert torch.equal(branch.embedding, branch.features)


def test_the_flip_feature_is_the_embedding_of_the_image_plus_that_of_its_mirror_image() -> None:
    plain, flipped = network(), network(with_flip_feature=True)
    flipped.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        expected = plain(images()) + plain(images().flip(3))

        assert torch.allclose(flipped(images()), expected, atol=1e-6)


def test_a_linear_layer_after_the_pooling_equals_a_1x1_convolution_before_it() -> None:
    net = network("resnet_18")
    assert isinstance(net.reduction, nn.Linear)
    convolution = nn.Conv2d(512, 16, 1)
    with torch.inference_mode():
        convolution.weight.copy_(net.reduction.weight[:, :, None, None])
        convolution.bias.copy_(torch.linspace(-1, 1, 16))  # type: ignore[union-attr]
        net.reduction.bias.copy_(convolution.bias)  # type: ignore[arg-type]
        maps = net.backbone.forward_features(images())  # type: ignore[operator]
        expected = convolution(maps).mean(dim=(2, 3))

        assert torch.allclose(net.training_output(images())[0].features, expected, atol=1e-5)


def test_the_backbones_own_width_needs_no_reduction() -> None:
    net = network("resnet_18", feat_dim=512)

    assert isinstance(net.reduction, nn.Identity)
    assert net.embedding_dim == 512


def test_swin_keeps_its_768_numbers_unless_it_is_told_to_reduce_them() -> None:
    name = "swin_tiny_patch4_window7_224"
    with torch.inference_mode():
        assert network(name)(images(1)).shape == (1, 768)
        reduced = network(name, reduce_feat_dim=True)
        assert reduced(images(1)).shape == (1, 16)
    assert reduced.reduction.bias is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_100", "test_resnet", "test_vit", "test_efficientnet", "test_convnext"]
)
def test_timm_networks_of_all_kinds_give_one_embedding_an_image(name: str) -> None:
    net = network(name, reduce_feat_dim=True)

    with torch.inference_mode():
        embeddings = net(images(3))

    assert embeddings.shape == (3, net.embedding_dim) == (3, 16)
    assert torch.isfinite(embeddings).all()


@pytest.mark.parametrize(
    "name",
    [
        "cait_xxs24_224", "coat_lite_tiny", "coatnet_pico_rw_224", "efficientvit_m0", "eva02_tiny_patch14_224",
        "flexivit_small", "gcvit_xxtiny", "gmlp_ti16_224", "hiera_tiny_224", "levit_128s", "maxvit_rmlp_pico_rw_256",
        "mixer_s32_224", "mobilevit_xxs", "pit_ti_224", "swinv2_cr_tiny_224", "test_vit_relpos", "tiny_vit_5m_224",
        "tnt_s_patch16_224", "visformer_tiny", "vit_tiny_patch16_224", "volo_d1_224", "xcit_nano_12_p16_224",
    ],
)  # fmt: skip
def test_families_that_attend_over_a_fixed_grid_take_a_persons_upright_shape(name: str) -> None:
    net = network(name)

    with torch.inference_mode():
        embeddings = net(images(2))

    assert embeddings.shape == (2, net.embedding_dim)
    assert torch.isfinite(embeddings).all()
    assert not torch.equal(embeddings[0], embeddings[1])


@pytest.mark.parametrize(
    ("name", "own_size"),
    [
        ("convit_tiny", 224),  # its grid of positions is square
        ("mvitv2_tiny", 224),  # asserts it, without a word
        ("nest_tiny", 224),  # says so
        ("efficientformer_l1", 224),  # has a table for one size
        ("halonet26t", 256),  # sides must be multiples of its blocks
        ("crossvit_9_240", None),  # one square size, which is no multiple of 32
    ],
)
def test_families_that_take_square_images_alone_are_refused_in_words(name: str, own_size: int | None) -> None:
    with pytest.raises(SpecError, match=rf"backbone={name} does not work .*input_height=64 and .*input_width=32") as e:
        network(name)

    assert "choose a backbone" in e.value.fix
    assert ("input_height" in e.value.fix) == (own_size is not None)
    if own_size:
        assert f"set model.input_height={own_size} and model.input_width={own_size}" in e.value.fix
        assert network(name, input_height=own_size, input_width=own_size).embedding_dim == 16


def test_an_image_smaller_than_a_networks_pooling_is_refused_in_words() -> None:
    with pytest.raises(SpecError, match=r"backbone=inception_v3 does not work .*RuntimeError"):
        network("inception_v3")


def test_generalised_mean_pooling_equals_a_loop() -> None:
    pool, maps = GeneralisedMeanPooling(flatten=True, p=2.5), torch.randn(2, 3, 4, 2)

    result = pool(maps)

    for b in range(2):
        for c in range(3):
            values = [max(float(v), 1e-6) ** 2.5 for v in maps[b, c].flatten()]
            assert result[b, c].item() == pytest.approx((sum(values) / len(values)) ** (1 / 2.5), rel=1e-5)


def test_gem_pooling_with_exponent_1_is_the_average_of_positive_maps_and_its_exponent_learns() -> None:
    net = network("resnet_18", gem_pooling=True)
    pool = net.backbone.global_pool
    assert isinstance(pool, GeneralisedMeanPooling)
    assert any(parameter is pool.p for parameter in net.parameters())
    nn.init.constant_(pool.p, 1.0)

    with torch.inference_mode():
        maps = net.backbone.forward_features(images())  # type: ignore[operator]

        assert torch.allclose(pool(maps), maps.mean(dim=(2, 3)), atol=1e-5)


def test_gem_pooling_of_a_network_without_maps_is_refused() -> None:
    with pytest.raises(SpecError, match=r"gem_pooling=true with model\.backbone=test_vit"):
        network("test_vit", gem_pooling=True)


def test_an_unknown_backbone_is_an_error_that_names_near_ones() -> None:
    with pytest.raises(SpecError, match=r"model\.backbone=resnet_51 .*did you mean .*resnet_50"):
        network("resnet_51")
