"""Learning rates by TAO's published values, and what each parameter learns with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from reid.errors import SpecError
from reid.model.network import ReidNetwork
from reid.model.optim import Schedule, build_optimizer, parameter_groups
from reid.model.settings import NetworkSettings

BASE_LR = 0.00035


@pytest.mark.parametrize(
    ("index", "rate"),
    [(0, 3.5e-6), (1, 3.815e-5), (2, 7.28e-5), (5, 1.7675e-4), (9, 3.1535e-4), (10, 3.5e-4), (39, 3.5e-4), (40, 3.5e-5),
     (70, 3.5e-6)],
)  # fmt: skip
def test_taos_defaults_give_taos_learning_rates(index: int, rate: float) -> None:
    """TAO's rule runs one index ahead: its first epoch has index 1, ours is epoch 0."""
    assert BASE_LR * Schedule("linear", num_epochs=120).factor(index - 1) == pytest.approx(rate, rel=1e-9)


def test_a_constant_warm_up_stays_at_its_factor_until_it_ends() -> None:
    schedule = Schedule("constant", num_epochs=20, warmup_iters=5, warmup_factor=0.2, milestones=(8,), gamma=0.5)

    assert [schedule.factor(epoch) for epoch in range(9)] == pytest.approx([0.2] * 4 + [1.0] * 3 + [0.5] * 2)


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert Schedule("linear", num_epochs=5, warmup_iters=0).factor(0) == 1.0


def test_a_cosine_warms_up_linearly_from_a_hundredth_then_falls_to_a_five_hundredth() -> None:
    schedule = Schedule("cosine", num_epochs=40, warmup_epochs=10)

    for epoch in range(40):
        index = epoch + 1
        if index < 10:
            expected = 0.01 + 0.99 * index / 10
        else:
            expected = 0.002 + 0.998 * (1 + math.cos(math.pi * index / 40)) / 2
        assert schedule.factor(epoch) == pytest.approx(expected)
    assert schedule.factor(39) == pytest.approx(0.002)
    assert schedule.factor(60) == pytest.approx(0.002)


def test_a_whole_training_follows_the_schedule_in_every_group() -> None:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": parameters[:1], "lr": 0.1}, {"params": parameters[1:], "lr": 0.2}])
    schedule = Schedule("linear", num_epochs=6, warmup_iters=3, warmup_factor=0.1, milestones=(5,))
    scheduler, seen = LambdaLR(optimizer, schedule.factor), []

    for _ in range(6):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()

    factors = [0.4, 0.7, 1.0, 1.0, 0.1, 0.1]
    assert seen == [pytest.approx([0.1 * f, 0.2 * f]) for f in factors]


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
