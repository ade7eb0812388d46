"""Files of other programs: names as their public code has them, written out here, and equal outputs after loading.

torchvision's networks are the real ones. For the others the tensors of one of our networks are renamed by tables that
stand here, from our names to theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings
from reid.model.weights.layouts import LAYOUTS, WRAPPERS
from reid.model.weights.loading import load_file
from reid.model.weights.report import WeightReport

State = dict[str, Tensor]


def network(seed: int, backbone: str = "resnet_18", size: tuple[int, int] = (64, 32), **changes: object) -> ReidNetwork:
    """With weights, biases and running statistics that all differ from their initial values and from seed to seed."""
    torch.manual_seed(seed)
    built = ReidNetwork(NetworkSettings(backbone, 3, *size, **changes)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, tensor in built.state_dict().items():
            if tensor.ndim == 1 and tensor.dtype == torch.float32:
                tensor.add_(0.2 * torch.rand_like(tensor) * (1 if "var" in name or "weight" in name else -1))
    return built


def loaded(into: ReidNetwork, state: object, folder: Path) -> WeightReport:
    torch.save(state, folder / "weights.pth")
    return load_file(into, folder / "weights.pth")


def renamed(network: ReidNetwork, *rules: tuple[str, str]) -> State:
    """The network's tensors; the first rule whose pattern stands at the start of a name says what it becomes."""
    state = {}
    for name, tensor in network.state_dict().items():
        pattern, new = next(rule for rule in (*rules, ("", "")) if re.match(rule[0], name))
        state[re.sub(pattern, new, name, count=1)] = tensor
    return state


def assert_equal_outputs(ours: nn.Module, theirs: Callable[[Tensor], Tensor], size: tuple[int, int] = (64, 32)) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-4, rtol=1e-4)


def pooled(network: ReidNetwork) -> Callable[[Tensor], Tensor]:
    return lambda images: network.backbone.forward_head(network.backbone.forward_features(images), pre_logits=True)


def test_reid_strong_baseline_gives_backbone_and_neck(tmp_path: Path) -> None:
    theirs, ours = network(1, feat_dim=512), network(2, feat_dim=512)
    state = renamed(theirs, (r"backbone\.", "base."), (r"neck\.", "bottleneck."))
    assert {"base.conv1.weight", "base.layer4.1.bn2.running_var", "bottleneck.running_mean", "classifier.weight"} <= {
        *state
    }

    report = loaded(ours, state, tmp_path)

    assert (report.layout, report.parts, report.missing) == ("reid-strong-baseline", ("neck",), ())
    assert list(report.left_out.values()) == [("classifier.weight",)]
    assert_equal_outputs(ours, theirs)


def test_fast_reid_gives_backbone_reduction_neck_and_the_exponent_of_its_pooling(tmp_path: Path) -> None:
    theirs, ours = (network(seed, feat_dim=16, gem_pooling=True) for seed in (1, 2))
    nn.init.zeros_(theirs.reduction.bias)  # fast-reid's convolution has none
    state = renamed(
        theirs,
        (r"backbone\.global_pool\.p", "heads.pool_layer.p"),
        (r"reduction\.weight", "heads.bottleneck.0.weight"),
        (r"neck\.", "heads.bottleneck.1."),
        (r"classifier\.weight", "heads.weight"),
    )
    state["heads.bottleneck.0.weight"] = state["heads.bottleneck.0.weight"][:, :, None, None]  # a 1x1 convolution
    state["heads.pool_layer.p"] = torch.tensor([4.0])
    nn.init.constant_(theirs.backbone.global_pool.p, 4.0)
    del state["reduction.bias"]
    state |= {"pixel_mean": torch.zeros(1, 3, 1, 1), "pixel_std": torch.ones(1, 3, 1, 1)}

    report = loaded(ours, {"model": state, "iteration": 7}, tmp_path)

    assert (report.layout, report.parts, report.missing) == ("fast-reid", ("reduction", "neck"), ())
    assert sorted(report.left_out.values()) == [("heads.weight",), ("pixel_mean", "pixel_std")]
    assert_equal_outputs(ours, theirs)


def test_fast_reid_without_an_embedding_layer_has_its_neck_at_another_number(tmp_path: Path) -> None:
    theirs, ours = network(1, feat_dim=512), network(2, feat_dim=512)
    state = renamed(theirs, (r"neck\.", "heads.bottleneck.0."), (r"classifier\.weight", "heads.weight"))

    report = loaded(ours, {"model": state}, tmp_path)

    assert report.parts == ("neck",)
    assert_equal_outputs(ours, theirs)


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_torchreids_osnet_loads_with_its_fc_and_without_its_classifier(wrapper: str, tmp_path: Path) -> None:
    theirs, ours = network(1, "osnet_x0_25", feat_dim=512), network(2, "osnet_x0_25", feat_dim=512)
    state = {
        wrapper + name.removeprefix("backbone."): tensor
        for name, tensor in theirs.state_dict().items()
        if name.startswith("backbone.")
    }
    state |= {f"{wrapper}classifier.weight": torch.zeros(9, 512), f"{wrapper}classifier.bias": torch.zeros(9)}

    report = loaded(ours, {"state_dict": state, "epoch": 60, "rank1": 0.9}, tmp_path)

    assert (report.layout, report.loaded, report.missing) == ("torchreid", report.total, ())
    assert list(report.left_out.values()) == [(f"{wrapper}classifier.bias", f"{wrapper}classifier.weight")]
    assert_equal_outputs_of_backbones(ours, theirs)


def test_torchreids_resnet_has_a_layer_after_pooling_that_is_left_out(tmp_path: Path) -> None:
    theirs, ours = network(1), network(2)
    state = renamed(theirs, (r"backbone\.", ""))
    state = {name: tensor for name, tensor in state.items() if not name.startswith(("neck", "reduction"))}
    state |= {"fc.0.weight": torch.zeros(512, 512), "fc.1.running_mean": torch.zeros(512)}

    report = loaded(ours, {"state_dict": state}, tmp_path)

    assert (report.layout, report.missing) == ("torchreid", ())
    assert ("fc.0.weight", "fc.1.running_mean") in report.left_out.values()
    assert_equal_outputs_of_backbones(ours, theirs)


def assert_equal_outputs_of_backbones(ours: ReidNetwork, theirs: ReidNetwork) -> None:
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        assert torch.equal(pooled(ours)(images), pooled(theirs)(images))


@pytest.mark.parametrize(
    ("stem", "layout"), [(("conv1", "bn1"), "spcl"), (("conv1", "bn1", "relu"), "sequential")]
)  # a pooling without tensors follows
def test_resnets_in_a_sequential_have_numbers_for_names(stem: tuple[str, ...], layout: str, tmp_path: Path) -> None:
    theirs, ours = network(1, "resnet_18", feat_dim=512), network(2, "resnet_18", feat_dim=512)
    first = len(stem) + 1
    state = renamed(
        theirs,
        (r"backbone\.conv1", "base.0"),
        (r"backbone\.bn1", "base.1"),
        *((rf"backbone\.layer{i}", f"base.{first + i - 1}") for i in (1, 2, 3, 4)),
        (r"neck\.", "feat_bn."),
    )

    report = loaded(ours, {"state_dict": state}, tmp_path)

    assert (report.layout, report.parts, report.missing) == (layout, ("neck",), ())
    assert_equal_outputs(ours, theirs)


def test_tao_keeps_the_reduction_of_a_resnet_as_a_convolution_of_its_base(tmp_path: Path) -> None:
    theirs, ours = network(1, feat_dim=16), network(2, feat_dim=16)
    state = renamed(
        theirs,
        (r"backbone\.", "model.base."),
        (r"reduction\.", "model.base.feature."),
        (r"neck\.", "model.bottleneck."),
        (r"classifier\.", "model.classifier."),
    )
    state["model.base.feature.weight"] = state["model.base.feature.weight"][:, :, None, None]
    state["center_criterion.centers"] = torch.zeros(3, 16)

    report = loaded(ours, {"state_dict": state, "pytorch-lightning_version": "1.8.5"}, tmp_path)

    assert (report.layout, report.parts, report.missing) == ("tao", ("reduction", "neck"), ())
    assert sorted(report.left_out.values()) == [("center_criterion.centers",), ("model.classifier.weight",)]
    assert_equal_outputs(ours, theirs)


def in_mmsegs_names(network: ReidNetwork) -> State:
    """A Swin's tensors as mmseg, SOLIDER and TAO name and order them."""
    state = {}
    for name, tensor in network.backbone.state_dict().items():
        if "downsample" in name:
            stage, rest = re.fullmatch(r"layers\.(\d)\.downsample\.(.+)", name).groups()  # type: ignore[union-attr]
            state[f"stages.{int(stage) - 1}.downsample.{rest}"] = in_unfolds_order(tensor)
            continue
        for ours, theirs in (
            (r"^layers\.", "stages."),
            (r"\.attn\.", ".attn.w_msa."),
            (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
            (r"\.mlp\.fc2\.", ".ffn.layers.1."),
            (r"^norm\.", "norm3."),
            (r"^patch_embed\.proj\.", "patch_embed.projection."),
        ):
            name = re.sub(ours, theirs, name)
        state[name] = tensor
    return state


def in_unfolds_order(tensor: Tensor) -> Tensor:
    """Inputs of patch merging from timm's order, pixel by pixel down the columns, to channel by channel along rows."""
    channels = tensor.shape[-1] // 4
    ordered = torch.empty_like(tensor)
    for channel in range(channels):
        for row in (0, 1):
            for column in (0, 1):
                ordered[..., 4 * channel + 2 * row + column] = tensor[..., (2 * column + row) * channels + channel]
    return ordered


SWIN = "swin_tiny_patch4_window7_224"


@pytest.fixture(scope="module")
def swin() -> ReidNetwork:
    return network(1, SWIN, (64, 64), feat_dim=16, reduce_feat_dim=True)


def test_solider_loads_with_its_patch_merging_put_in_order(swin: ReidNetwork, tmp_path: Path) -> None:
    ours = network(2, SWIN, (64, 64))
    state = {f"backbone.{name}": tensor for name, tensor in in_mmsegs_names(swin).items()}
    assert {
        "backbone.patch_embed.projection.weight",
        "backbone.stages.2.blocks.5.attn.w_msa.relative_position_bias_table",
        "backbone.stages.0.blocks.1.ffn.layers.0.0.weight",
        "backbone.stages.2.downsample.reduction.weight",
        "backbone.norm3.bias",
    } <= {*state}
    state |= {
        "backbone.norm0.weight": torch.ones(96),
        "backbone.semantic_embed_w.0.weight": torch.zeros(192, 2),
        "backbone.stages.0.blocks.0.attn.w_msa.relative_position_index": torch.zeros(49, 49, dtype=torch.long),
        "head.last_layer.weight_v": torch.zeros(4, 4),
    }

    report = loaded(ours, {"teacher": state, "student": {"other": torch.zeros(1)}, "epoch": 99}, tmp_path)

    assert (report.layout, report.missing, report.mismatched) == ("solider", (), ())
    assert len(report.left_out) == 4
    assert_equal_outputs(ours.backbone, swin.backbone, (64, 64))


def test_tao_keeps_a_swin_in_soliders_names(swin: ReidNetwork, tmp_path: Path) -> None:
    ours = network(2, SWIN, (64, 64), feat_dim=16, reduce_feat_dim=True)
    state = {f"model.base.{name}": tensor for name, tensor in in_mmsegs_names(swin).items()}
    state["model.fcneck.weight"] = swin.reduction.weight
    state |= {f"model.bottleneck.{name}": tensor for name, tensor in swin.neck.state_dict().items()}

    report = loaded(ours, {"state_dict": state}, tmp_path)

    assert (report.layout, report.parts, report.missing) == ("tao", ("reduction", "neck"), ())
    assert_equal_outputs(ours, swin, (64, 64))


def test_patch_merging_by_unfold_equals_timms_on_the_same_weights(swin: ReidNetwork) -> None:
    """mmseg merges with nn.Unfold; this shows that `in_unfolds_order`, by which the tests above are made, is right."""
    merging = swin.backbone.layers[1].downsample
    maps = torch.randn(2, 96, 6, 4, generator=torch.Generator().manual_seed(1))
    norm = nn.LayerNorm(4 * 96)
    norm.load_state_dict({name: in_unfolds_order(tensor) for name, tensor in merging.norm.state_dict().items()})

    with torch.inference_mode():
        columns = nn.functional.unfold(maps, kernel_size=2, stride=2).transpose(1, 2)  # [2, 6, 4 * 96]
        by_unfold = norm(columns) @ in_unfolds_order(merging.reduction.weight).T
        by_timm = merging(maps.permute(0, 2, 3, 1)).flatten(1, 2)

    torch.testing.assert_close(by_unfold, by_timm, atol=1e-5, rtol=1e-5)


def test_mmseg_and_timm_look_up_relative_positions_alike(swin: ReidNetwork) -> None:
    """mmseg's formula for the index, on a window of 3 rows and 2 columns, against the definition in Swin's paper."""
    rows, columns = 3, 2
    steps = (
        torch.arange(rows)[:, None] * (2 * columns - 1) + torch.arange(columns)[None]
    ).flatten()  # the number of a position when rows are 2 * columns - 1 wide
    by_mmseg = (steps[:, None] + steps[None]).flip(1)
    positions = [(row, column) for row in range(rows) for column in range(columns)]
    by_paper = [
        [(r - other_r + rows - 1) * (2 * columns - 1) + (c - other_c + columns - 1) for other_r, other_c in positions]
        for r, c in positions
    ]

    assert by_mmseg.tolist() == by_paper
    window = swin.backbone.layers[0].blocks[0].attn
    assert window.relative_position_index[0, 0] == (7 - 1) * 13 + 7 - 1  # the middle of timm's table: no displacement


def test_transreid_gives_backbone_and_neck(tmp_path: Path) -> None:
    theirs, ours = network(1, "test_vit", feat_dim=64), network(2, "test_vit", feat_dim=64)
    state = renamed(theirs, (r"backbone\.", "base."), (r"neck\.", "bottleneck."))
    state |= {"base.sie_embed": torch.zeros(6, 1, 64), "base.fc.weight": torch.zeros(1000, 64)}

    report = loaded(ours, state, tmp_path)

    assert (report.layout, report.parts, report.missing) == ("transreid", ("neck",), ())
    assert sorted(report.left_out.values()) == [("base.fc.weight", "classifier.weight"), ("base.sie_embed",)]
    assert_equal_outputs(ours, theirs)


def with_jigsaw_in_transreids_names(network: ReidNetwork) -> State:
    """The trained last block and norm stand beside the backbone, in which untrained ones are left, first and last."""
    last = len(network.backbone.blocks) - 1
    state = renamed(
        network,
        (rf"backbone\.blocks\.{last}\.", "b1.0."),
        (r"backbone\.norm\.", "b1.1."),
        (r"backbone\.", "base."),
        (r"neck\.", "bottleneck."),
        (r"jigsaw\.block\.", "b2.0."),
        (r"jigsaw\.norm\.", "b2.1."),
        *((rf"parts\.{i}\.neck\.", f"bottleneck_{i + 1}.") for i in range(4)),
        *((rf"parts\.{i}\.classifier\.", f"classifier_{i + 1}.") for i in range(4)),
    )
    before = {name.replace("b1.1.", "base.norm."): 9 + t for name, t in state.items() if "b1.1." in name}
    after = {name.replace("b1.0.", f"base.blocks.{last}."): 9 + t for name, t in state.items() if "b1.0." in name}
    return before | state | after


def test_transreids_jigsaw_keeps_the_trained_last_block_beside_the_backbone(tmp_path: Path) -> None:
    theirs, ours = network(1, "test_vit", feat_dim=64, jpm=True), network(2, "test_vit", feat_dim=64)

    report = loaded(ours, with_jigsaw_in_transreids_names(theirs), tmp_path)

    assert (report.missing, report.mismatched, report.parts) == ((), (), ("neck",))
    assert report.left_out["b1.1.weight stands in its place"] == ("base.norm.weight",)
    assert "b2.1.bias" in report.left_out["this network has no jigsaw (model.jpm)"]
    plain = network(3, "test_vit", feat_dim=64)
    plain.load_state_dict({name: t for name, t in theirs.state_dict().items() if name in plain.state_dict()})
    assert_equal_outputs(ours, plain)


@pytest.mark.parametrize("program", ["transreid", "reid"])
def test_a_network_with_a_jigsaw_takes_that_of_the_file(program: str, tmp_path: Path) -> None:
    theirs, ours = (network(seed, "test_vit", feat_dim=64, jpm=True) for seed in (1, 2))
    own = {f"network.{name}": tensor for name, tensor in theirs.state_dict().items()}

    report = loaded(ours, own if program == "reid" else with_jigsaw_in_transreids_names(theirs), tmp_path)

    assert report.layout == program
    assert report.parts == ("jigsaw", "neck", "parts.0.neck", "parts.1.neck", "parts.2.neck", "parts.3.neck")
    assert_equal_outputs(ours, theirs)


def test_a_jigsaw_starts_from_the_last_block_of_a_file_that_has_none(tmp_path: Path) -> None:
    theirs, ours = network(1, "test_vit", feat_dim=64), network(2, "test_vit", feat_dim=64, jpm=True)

    loaded(ours, theirs.backbone.state_dict(), tmp_path)

    for name, tensor in theirs.backbone.blocks[-1].state_dict().items():
        assert torch.equal(ours.jigsaw.block.state_dict()[name], tensor)  # type: ignore[union-attr]


def test_torchvisions_resnet(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18().eval()
    ours = network(2, "resnet18", last_stride=2)

    report = loaded(ours, theirs.state_dict(), tmp_path)

    assert (report.layout, report.missing) == ("timm", ())
    assert list(report.left_out.values()) == [("fc.bias", "fc.weight")]
    theirs.fc = nn.Identity()
    assert_equal_outputs(ours.backbone, theirs)


def test_torchvisions_vit(tmp_path: Path) -> None:
    theirs = torchvision.models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768
    ).eval()
    nn.init.normal_(theirs.class_token)
    ours = network(2, "vit_tiny_patch16_224", (64, 64))

    report = loaded(ours, theirs.state_dict(), tmp_path)

    assert (report.layout, report.missing, report.mismatched) == ("torchvision-vit", (), ())
    theirs.heads = nn.Identity()  # type: ignore[assignment]
    assert_equal_outputs(ours.backbone, theirs, (64, 64))


def test_torchvisions_swin(tmp_path: Path) -> None:
    theirs = torchvision.models.swin_t().eval()
    ours = network(2, SWIN, (224, 224))

    report = loaded(ours, theirs.state_dict(), tmp_path)

    assert (report.layout, report.missing, report.mismatched) == ("torchvision-swin", (), ())
    theirs.head = nn.Identity()
    assert_equal_outputs(ours.backbone, theirs, (224, 224))


def test_torchvisions_convnext(tmp_path: Path) -> None:
    stages = [(24, 32, 1), (32, 48, 2), (48, 64, 4), (64, None, 2)]
    blocks = [torchvision.models.convnext.CNBlockConfig(*stage) for stage in stages]
    theirs = torchvision.models.ConvNeXt(blocks).eval()
    ours = network(2, "test_convnext", (64, 64))

    report = loaded(ours, theirs.state_dict(), tmp_path)

    assert (report.layout, report.missing, report.mismatched) == ("torchvision-convnext", (), ())
    theirs.classifier[2] = nn.Identity()
    for module in theirs.modules():  # timm's test network has its own epsilon and activation
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5
        if isinstance(module, nn.GELU):
            module.approximate = "tanh"
    assert_equal_outputs(ours.backbone, theirs, (64, 64))


def test_torchvisions_mobilenet_by_the_order_of_its_tensors(tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2().eval()
    ours = network(2, "mobilenetv2_100")

    report = loaded(ours, theirs.state_dict(), tmp_path)

    assert (report.layout, report.missing) == ("order", ())
    theirs.classifier = nn.Identity()  # type: ignore[assignment]
    assert_equal_outputs(ours.backbone, theirs)


def test_every_pattern_of_the_tables_can_be_read_and_every_layout_has_a_name_of_its_own() -> None:
    for layout in LAYOUTS:
        for entry in (*layout.rules, *layout.left_out):
            re.compile(entry.source)
        targets = [rule.target.partition(".")[0] for rule in layout.rules]
        assert set(targets) <= {"backbone", "embedder", "reduction", "neck", "jigsaw", "parts", r"\1"}
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
    assert LAYOUTS[-1].signs == ()
    assert all(wrapper.endswith(".") for wrapper in WRAPPERS)
