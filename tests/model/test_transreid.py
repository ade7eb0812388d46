"""Vision transformers with overlapping patches, side information and a jigsaw, against steps taken one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reid.data.images import Preprocess
from reid.data.side import Side
from reid.deploy.onnx import export_onnx
from reid.errors import SpecError
from reid.model.backbone import build_backbone
from reid.model.jigsaw import patch_order
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings
from reid.model.side import SideEmbedding
from reid.model.weights.loading import load_file

HEIGHT, WIDTH, DIM = 64, 32, 64  # test_vit has patches of 16 x 16: 4 rows of 2, behind a class token


def settings(backbone: str = "test_vit", **changes: Any) -> NetworkSettings:
    return NetworkSettings(backbone, 5, HEIGHT, WIDTH, **{"feat_dim": DIM, **changes})


def network(**changes: Any) -> Any:
    torch.manual_seed(0)
    return ReidNetwork(settings(**changes)).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def side(cameras: list[int], views: list[int] | None = None) -> Side:
    return Side(torch.tensor(cameras), torch.tensor(views or [-1] * len(cameras)))


# Overlapping patches


def test_patches_start_every_stride_pixels() -> None:
    vit: Any = build_backbone(settings(stride_size=(12, 8)))
    picture = images(1)

    tokens = vit.patch_embed(picture).reshape(1, -1, DIM)

    # (64 - 16) / 12 + 1 = 5 rows of (32 - 16) / 8 + 1 = 3 patches
    assert tokens.shape == (1, 15, DIM)
    assert vit.pos_embed.shape == (1, 1 + 15, DIM)
    corner = picture[0, :, 2 * 12 : 2 * 12 + 16, 1 * 8 : 1 * 8 + 16]  # row 2, column 1
    expected = (vit.patch_embed.proj.weight * corner).sum(dim=(1, 2, 3)) + vit.patch_embed.proj.bias
    assert torch.allclose(tokens[0, 2 * 3 + 1], expected, atol=1e-5)


def test_taos_default_stride_leaves_every_network_its_own_patches() -> None:
    vit: Any = build_backbone(settings("vit_tiny_r_s16_p8_224"))  # a hybrid, with patches of 8 x 8 on its maps

    assert vit.patch_embed.proj.stride == (8, 8)


def test_square_weights_are_resampled_to_the_grid_of_overlapping_patches(tmp_path: Path) -> None:
    square = timm.create_model("test_vit", num_classes=0)
    torch.save(square.state_dict(), tmp_path / "weights.pth")
    ours = network(stride_size=(12, 8))

    report = load_file(ours, tmp_path / "weights.pth")

    vit = ours.backbone

    assert (report.missing, report.mismatched) == ((), ())
    table = square.pos_embed.detach()
    side = int((table.shape[1] - 1) ** 0.5)
    grid = table[:, 1:].reshape(1, side, side, DIM).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(5, 3), mode="bicubic", antialias=True, align_corners=False)
    assert torch.allclose(vit.pos_embed[:, 1:], expected.flatten(2).transpose(1, 2), atol=1e-6)
    assert torch.equal(vit.pos_embed[:, :1], table[:, :1])
    assert torch.equal(vit.patch_embed.proj.weight, square.patch_embed.proj.weight)


@pytest.mark.parametrize(("trained_with", "used_with"), [((16, 16), (12, 8)), ((12, 8), (16, 16)), ((12, 8), (8, 8))])
def test_weights_of_ours_move_between_strides(
    trained_with: tuple[int, int], used_with: tuple[int, int], tmp_path: Path
) -> None:
    trained = settings(stride_size=trained_with)
    theirs: Any = build_backbone(trained)
    rows, columns = theirs.patch_embed.grid_size
    with torch.no_grad():  # positions that say which row they are in
        theirs.pos_embed[:, 1:] = torch.arange(float(rows)).repeat_interleave(columns)[None, :, None]
    state = {f"network.backbone.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"state_dict": state, "reid": {"network": trained.to_dict()}}, tmp_path / "model.pth")
    loaded = network(stride_size=used_with)

    report = load_file(loaded, tmp_path / "model.pth")

    ours = loaded.backbone
    assert (report.missing, report.mismatched) == ((), ())
    grid = ours.pos_embed.detach()[0, 1:, 0].view(ours.patch_embed.grid_size)
    assert torch.allclose(grid, grid[:, :1].expand_as(grid), atol=1e-5)
    assert (grid[1:, 0] > grid[:-1, 0]).all()


def test_a_stride_longer_than_the_patch_is_refused() -> None:
    with pytest.raises(SpecError, match=r"stride_size=\[24, 16\] with patches of 16 x 16 pixels.*at most \[16, 16\]"):
        build_backbone(settings(stride_size=(24, 16)))


@pytest.mark.parametrize("backbone", ["test_resnet", "swin_tiny_patch4_window7_224", "test_vit_relpos"])
@pytest.mark.parametrize("asked", [{"jpm": True}, {"sie_camera": True}, {"sie_view": True}, {"stride_size": (12, 12)}])
def test_networks_without_a_sequence_of_patches_are_refused_with_names_of_those_that_have_one(
    backbone: str, asked: dict[str, Any]
) -> None:
    key = next(iter(asked))

    with pytest.raises(SpecError, match=rf"model\.{key}=.* with model\.backbone={backbone}.*vit_base_patch16_224"):
        network(backbone=backbone, **asked)


# Side information


def test_each_camera_has_its_embedding_and_an_unknown_one_their_mean() -> None:
    embedding = SideEmbedding(3, 0, dim=4, scale=3.0)
    with torch.no_grad():
        embedding.table.copy_(torch.tensor([1.0, 2.0, 6.0]).view(3, 1, 1).expand(3, 1, 4))

    added = embedding(side([2, 0, -1]))

    assert added.shape == (3, 1, 4)
    assert added[:, 0, 0].tolist() == [18.0, 3.0, 9.0]  # 3 x 6, 3 x 1, 3 x (1 + 2 + 6) / 3
    assert embedding(None)[0, 0].tolist() == [9.0] * 4


def test_camera_and_view_together_have_an_embedding_for_each_pair_and_what_is_known_counts() -> None:
    embedding = SideEmbedding(2, 3, dim=1, scale=1.0)
    with torch.no_grad():
        embedding.table.copy_(torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])[..., None])

    added = embedding(side([1, 0, -1, 0, -1], [2, 0, 1, -1, -1]))

    # the pair, the pair, the mean of view 1 over cameras, the mean of camera 0 over views, the mean of all six
    assert added.flatten().tolist() == [30.0, 1.0, 11.0, 2.0, 11.0]


def test_the_side_embedding_is_added_to_every_token_with_the_positions() -> None:
    net, plain = network(sie_camera=True, cameras=(1, 4)), network()
    plain.load_state_dict({name: tensor for name, tensor in net.state_dict().items() if name != "side.table"})
    before, picture = plain.backbone.pos_embed.detach().clone(), images(1)

    for index in (0, 1):
        with torch.no_grad():
            plain.backbone.pos_embed.copy_(before + 3.0 * net.side.table[index])
        assert torch.allclose(net(picture, side([index])), plain(picture), atol=1e-5)
    assert not torch.allclose(net(picture, side([0])), net(picture, side([1])), atol=1e-3)


def test_without_side_information_and_with_an_unknown_camera_the_mean_embedding_counts() -> None:
    net = network(sie_camera=True, sie_view=True, cameras=(1, 4), views=(1, 2, 3))

    with torch.inference_mode():
        assert torch.allclose(net(images()), net(images(), side([-1, -1])), atol=1e-6)


@pytest.mark.parametrize(("asked", "shape"), [
    ({"sie_camera": True, "cameras": (1, 2, 5)}, (3, 1, DIM)),
    ({"sie_view": True, "views": (1, 2)}, (1, 2, DIM)),
    ({"sie_camera": True, "sie_view": True, "cameras": (1, 2, 5), "views": (1, 2)}, (3, 2, DIM)),
])  # fmt: skip
def test_side_embeddings_learn(asked: dict[str, Any], shape: tuple[int, ...]) -> None:
    net = network(**asked).train()

    (branch,) = net.training_output(images(), side([0, 1], [1, 0]))
    branch.features.square().sum().backward()

    assert net.side.table.shape == shape
    assert float(net.side.table.grad.abs().sum()) > 0


def test_the_weight_of_the_side_embedding_scales_it() -> None:
    weak, strong = network(sie_camera=True, cameras=(1, 2), sie_coe=1.5), network(sie_camera=True, cameras=(1, 2))
    strong.load_state_dict(weak.state_dict())
    with torch.no_grad():
        strong.side.table.div_(2)

    assert torch.allclose(weak(images(), side([0, 1])), strong(images(), side([0, 1])), atol=1e-5)


# Jigsaw


def test_eight_patches_are_shifted_by_three_and_taken_from_two_groups_in_turn() -> None:
    # 3 4 5 6 7 0 1 2 after the shift; groups 3 4 5 6 and 7 0 1 2
    assert patch_order(8, shift=3, groups=2) == [3, 7, 4, 0, 5, 1, 6, 2]


def test_patches_that_the_groups_do_not_divide_are_all_used_once() -> None:
    # 2 3 4 5 6 0 1 after the shift; groups 2 3 4, 5 6 0 and 1
    assert patch_order(7, shift=2, groups=3) == [2, 5, 1, 3, 6, 4, 0]
    for count in range(1, 12):
        for groups in range(1, 13):
            assert sorted(patch_order(count, shift=5, groups=groups)) == list(range(count))


def parts_step_by_step(net: Any, picture: Tensor, orders: list[list[int]]) -> list[Tensor]:
    """Class token of each part, the local block and norm applied to it and the part's patches."""
    vit = net.backbone
    tokens = vit._pos_embed(vit.patch_embed(picture))
    for block in list(vit.blocks)[:-1]:
        tokens = block(tokens)
    patches = tokens[:, 1:]
    seen = [torch.cat([tokens[:, :1], patches[:, places]], dim=1) for places in orders]
    return [net.jigsaw.norm(net.jigsaw.block(part))[:, 0] for part in seen]


@pytest.mark.parametrize(
    ("changes", "orders"),
    [
        ({"shift_num": 3, "shuffle_group": 2, "devide_length": 4}, [[3, 7], [4, 0], [5, 1], [6, 2]]),
        ({"shift_num": 0, "shuffle_group": 4, "devide_length": 2}, [[0, 2, 4, 6], [1, 3, 5, 7]]),
        ({"re_arrange": False, "devide_length": 4}, [[0, 1], [2, 3], [4, 5], [6, 7]]),
        ({"re_arrange": False, "devide_length": 3}, [[0, 1, 2], [3, 4, 5], [6, 7]]),
    ],
)
def test_each_part_of_the_jigsaw_is_what_the_keys_say(changes: dict[str, Any], orders: list[list[int]]) -> None:
    net, plain = network(jpm=True, **changes), network()
    plain.backbone.load_state_dict(net.backbone.state_dict())
    nn.init.normal_(net.jigsaw.norm.weight)  # the local branch is no copy of the global one

    with torch.inference_mode():
        whole, *parts = net.training_output(images())

        assert torch.allclose(whole.features, plain.training_output(images())[0].features, atol=1e-5)
        for branch, expected in zip(parts, parts_step_by_step(net, images(), orders), strict=True):
            assert torch.allclose(branch.features, expected, atol=1e-5)


def test_half_of_the_loss_is_the_whole_images_and_half_the_parts() -> None:
    branches = network(jpm=True, devide_length=4).training_output(images())

    assert [branch.weight for branch in branches] == [0.5, 0.125, 0.125, 0.125, 0.125]
    assert len({id(branch.head) for branch in branches}) == 5


@pytest.mark.parametrize("neck_feat", ["before", "after"])
def test_the_embedding_is_that_of_the_whole_image_and_those_of_the_parts_over_their_number(neck_feat: str) -> None:
    net = network(jpm=True, devide_length=2, neck_feat=neck_feat)
    for neck in (net.neck, *(part.neck for part in net.parts)):
        nn.init.uniform_(neck.running_mean)
    whole, first, second = net.training_output(images())

    embedding = net(images())

    assert embedding.shape == (2, 3 * DIM) == (2, net.embedding_dim)
    own = "features" if neck_feat == "before" else "embedding"  # no dropout outside training
    expected = [getattr(whole, own), getattr(first, own) / 2, getattr(second, own) / 2]
    assert torch.allclose(embedding, torch.cat(expected, dim=1), atol=1e-6)


def test_parts_are_reduced_to_feat_dim_like_the_whole_image() -> None:
    net = network(jpm=True, devide_length=2, feat_dim=8)

    assert net(images()).shape == (2, 3 * 8)
    assert net.branch_dim == 8


def test_the_local_block_starts_as_the_pretrained_last_block_and_learns_on_its_own() -> None:
    net = network(jpm=True)
    for parameter in net.backbone.parameters():
        nn.init.normal_(parameter, std=0.1)

    net.backbone_loaded()

    last = net.backbone.blocks[-1]
    local = net.jigsaw.block.state_dict()
    assert all(torch.equal(tensor, local[name]) for name, tensor in last.state_dict().items())
    assert torch.equal(net.jigsaw.norm.weight, net.backbone.norm.weight)
    sum(branch.features.square().sum() for branch in net.training_output(images())[1:]).backward()
    assert last.attn.qkv.weight.grad is None
    assert float(net.jigsaw.block.attn.qkv.weight.grad.abs().sum()) > 0


def test_more_parts_than_patches_are_refused() -> None:
    with pytest.raises(SpecError, match=r"devide_length=9, and an image has 8 patches.*at most 8"):
        network(jpm=True, devide_length=9)


# The whole of it


EVERYTHING: dict[str, Any] = {
    "stride_size": (12, 8), "sie_camera": True, "sie_view": True, "cameras": (1, 2, 3), "views": (1, 2), "jpm": True,
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_wee_patch16_reg1_gap_256", "test_vit3"],
)  # one class token; two; none and a register, averaged; attention pooling
def test_plain_transformers_of_every_kind_take_all_of_it(name: str) -> None:
    net = network(backbone=name, **EVERYTHING, reduce_feat_dim=True).train()

    branches = net.training_output(images(), side([0, 2], [1, -1]))
    torch.stack([branch.head(branch.embedding).square().sum() for branch in branches]).sum().backward()

    assert [tuple(branch.embedding.shape) for branch in branches] == [(2, DIM)] * 5
    assert net.eval()(images()).shape == (2, 5 * DIM)
    idle = {name for name, parameter in net.named_parameters() if parameter.requires_grad and parameter.grad is None}
    assert idle == set()


def test_a_checkpoint_holds_the_whole_network() -> None:
    net = network(**EVERYTHING)
    again = ReidNetwork(NetworkSettings(**net.settings.to_dict())).eval()

    again.load_state_dict(net.state_dict())

    with torch.inference_mode():
        assert torch.equal(again(images(), side([2, 0], [1, 0])), net(images(), side([2, 0], [1, 0])))


def test_a_plain_transformer_has_no_tensors_more_than_before() -> None:
    names = {name.partition(".")[0] for name in network().state_dict()}

    assert names == {"backbone", "neck", "classifier"}


def test_settings_of_a_checkpoint_from_before_these_keys_build_the_same_network() -> None:
    old = {key: value for key, value in settings().to_dict().items() if key in (
        "backbone", "num_classes", "input_height", "input_width", "feat_dim", "neck", "neck_feat",
    )}  # fmt: skip

    assert NetworkSettings(**old) == settings()


@pytest.mark.slow  # torch.export alone takes most of 10 s
def test_onnx_takes_images_alone_and_uses_the_mean_of_the_side_embeddings(tmp_path: Path) -> None:
    import onnxruntime

    net = network(**EVERYTHING, devide_length=2)
    pixels = torch.randint(0, 256, (3, HEIGHT, WIDTH, 3), dtype=torch.uint8).numpy()
    preprocess = Preprocess(HEIGHT, WIDTH, "bicubic", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

    export_onnx(net, tmp_path / "model.onnx", preprocess=preprocess, images=pixels)

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["input"]
    (embedding,) = session.run(None, {"input": images(3).numpy()})
    with torch.inference_mode():
        expected = net(images(3), side([-1, -1, -1]))
    assert torch.allclose(torch.from_numpy(embedding), expected, atol=1e-4)
