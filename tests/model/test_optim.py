"""What each parameter learns with, and the optimisers by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reid.errors import SpecError
from reid.model.network import ReidNetwork
from reid.model.optim import build_optimizer, parameter_groups, take_settings
from reid.model.settings import NetworkSettings


def network() -> ReidNetwork:
    return ReidNetwork(NetworkSettings("test_resnet", 5, 64, 32, feat_dim=16))


def rate_and_decay(groups: list[dict[str, object]], parameter: nn.Parameter) -> tuple[object, object]:
    (group,) = [g for g in groups if any(parameter is p for p in g["params"])]  # type: ignore[attr-defined]
    return group["lr"], group["weight_decay"]


def test_biases_have_a_learning_rate_factor_and_a_weight_decay_of_their_own() -> None:
    net = network()

    groups = parameter_groups(net, base_lr=0.01, weight_decay=0.1, bias_lr_factor=2.0, weight_decay_bias=0.3)

    assert rate_and_decay(groups, net.reduction.bias) == (0.02, 0.3)  # type: ignore[arg-type]
    assert rate_and_decay(groups, net.reduction.weight) == (0.01, 0.1)  # type: ignore[arg-type]
    assert rate_and_decay(groups, net.classifier.weight) == (0.01, 0.1)


def test_every_trainable_parameter_is_in_one_group_and_the_frozen_neck_bias_in_none() -> None:
    net = network()

    groups = parameter_groups(net, base_lr=0.01, weight_decay=0.1)

    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in net.parameters() if p.requires_grad)
    assert id(net.neck.bias) not in grouped


def test_large_fc_lr_doubles_the_rate_of_the_classifier_alone() -> None:
    net = network()

    groups = parameter_groups(net, base_lr=0.01, weight_decay=0.1, large_fc_lr=True)

    assert rate_and_decay(groups, net.classifier.weight) == (0.02, 0.1)
    assert rate_and_decay(groups, net.reduction.weight) == (0.01, 0.1)  # type: ignore[arg-type]


def test_optimisers_are_known_by_name_in_any_case_and_take_momentum_where_they_have_one() -> None:
    groups = parameter_groups(network(), base_lr=0.01, weight_decay=0.0)

    sgd = build_optimizer("sgd", groups, momentum=0.8)

    assert type(sgd) is torch.optim.SGD
    assert {group["momentum"] for group in sgd.param_groups} == {0.8}
    assert type(build_optimizer("AdamW", groups, momentum=0.8)) is torch.optim.AdamW


@pytest.mark.parametrize("name", ["Adamm", "LBFGS", "Optimizer"])
def test_an_unknown_or_unusable_optimiser_is_an_error_that_lists_the_others(name: str) -> None:
    with pytest.raises(SpecError, match=rf"train\.optim\.name={name}.*Adam, .*SGD"):
        build_optimizer(name, [], momentum=0.9)


def test_layer_decay_slows_each_block_of_a_vision_transformer_down_by_its_distance_from_the_neck() -> None:
    net = ReidNetwork(NetworkSettings("test_vit", 5, 64, 32, jpm=True))  # patches, six blocks, a norm with the last

    groups = parameter_groups(net, base_lr=0.01, weight_decay=0.1, layer_decay=0.5)

    rate = {name: rate_and_decay(groups, p)[0] for name, p in net.named_parameters() if p.requires_grad}
    assert rate["classifier.weight"] == rate["neck.weight"] == 0.01
    assert rate["backbone.norm.weight"] == rate["backbone.blocks.5.mlp.fc2.weight"] == 0.01 / 2
    assert rate["jigsaw.block.mlp.fc2.weight"] == rate["jigsaw.norm.weight"] == 0.01 / 2
    assert rate["parts.0.classifier.weight"] == 0.01
    assert rate["backbone.blocks.4.attn.qkv.weight"] == 0.01 / 4
    assert rate["backbone.blocks.0.norm1.weight"] == 0.01 / 64
    assert rate["backbone.pos_embed"] == rate["backbone.patch_embed.proj.weight"] == 0.01 / 128


def test_layer_decay_and_the_rules_for_biases_and_classifier_multiply() -> None:
    net = ReidNetwork(NetworkSettings("test_vit", 5, 64, 32))

    groups = parameter_groups(
        net,
        base_lr=0.01,
        weight_decay=0.1,
        bias_lr_factor=2.0,
        weight_decay_bias=0.3,
        large_fc_lr=True,
        layer_decay=0.5,
    )

    by_name = dict(net.named_parameters())
    assert rate_and_decay(groups, by_name["backbone.blocks.5.mlp.fc2.bias"]) == (0.01, 0.3)
    assert rate_and_decay(groups, by_name["backbone.blocks.5.mlp.fc2.weight"]) == (0.005, 0.1)
    assert rate_and_decay(groups, by_name["classifier.weight"]) == (0.02, 0.1)


def test_a_backbone_whose_blocks_nobody_knows_has_no_layer_decay() -> None:
    net = network()
    net.backbone = nn.Sequential(nn.Linear(2, 2))

    with pytest.raises(SpecError, match=r"train\.optim\.layer_decay=0\.5 with a backbone of kind Sequential"):
        parameter_groups(net, base_lr=0.01, weight_decay=0.1, layer_decay=0.5)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adamax"])
def test_one_kernel_for_all_parameters_learns_what_a_loop_over_them_learns(name: str) -> None:
    start = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    learnt = []
    for fused in (True, False):
        parameter = nn.Parameter(start.clone())
        groups = [{"params": [parameter], "lr": 0.1, "weight_decay": 0.01}]
        optimizer = build_optimizer(name, groups, momentum=0.9, fused=fused)
        assert bool(optimizer.param_groups[0].get("fused")) is (fused and name != "Adamax")
        for step in range(4):
            optimizer.zero_grad()
            (parameter * (step + start)).sum().backward()
            optimizer.step()
        learnt.append(parameter.detach())

    assert torch.allclose(*learnt, rtol=1e-5)
    assert not torch.allclose(learnt[0], start, atol=0.1)


def adam(lr: float, *, fused: bool, count: int = 1) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
    parameters = [nn.Parameter(torch.ones(2)) for _ in range(count)]
    return parameters, build_optimizer(
        "Adam", [{"params": parameters, "lr": lr, "weight_decay": 0.5}], momentum=0.9, fused=fused
    )


def test_a_resume_takes_the_moments_of_the_checkpoint_and_the_settings_of_now() -> None:
    (old,), before = adam(0.1, fused=False)
    old.sum().backward()
    before.step()
    states = before.state_dict()

    _, now = adam(0.2, fused=True)
    take_settings(states, now)
    now.load_state_dict(states)

    (group,) = now.param_groups
    assert (group["lr"], group["fused"]) == (0.2, True)
    (state,) = now.state.values()
    assert torch.equal(state["exp_avg"], before.state[old]["exp_avg"])
    now.step()


def test_settings_of_other_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="groups are others"):
        take_settings(adam(0.1, fused=False, count=2)[1].state_dict(), adam(0.1, fused=False)[1])
