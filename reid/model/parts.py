"""Trunk and embedder, the two parts of a network that metric learning trains with settings of their own.

TAO has one optimiser for each. Here they are groups of parameters of one: as the rules of Adam, Adamax and SGD look at
one parameter at a time, the steps are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from reid.model.network import Part, ReidNetwork
from reid.model.optim import parameter_groups


@dataclass(frozen=True)
class PartSettings:
    """What a part learns with.

    Attributes:
        base_lr: learning rate of weights.
        bias_lr_factor: learning rate of biases over `base_lr`.
        momentum: of SGD.
        weight_decay: of weights.
        weight_decay_bias: of biases.
        trained: False keeps the part as it is.
    """

    base_lr: float
    bias_lr_factor: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    weight_decay_bias: float = 0.0
    trained: bool = True


def part_groups(network: ReidNetwork, parts: Mapping[Part, PartSettings]) -> list[dict[str, Any]]:
    """Groups of parameters for `build_optimizer`, each with the name of its "part"; freezes the others.

    Args:
        network: parts that are not trained are frozen in it.
        parts: settings of both, of which one at least is trained.
    """
    groups: list[dict[str, Any]] = []
    for part, settings in parts.items():
        if not settings.trained:
            network.freeze(part)
            continue
        found = parameter_groups(
            nn.ModuleDict(network.part(part)),
            base_lr=settings.base_lr,
            weight_decay=settings.weight_decay,
            bias_lr_factor=settings.bias_lr_factor,
            weight_decay_bias=settings.weight_decay_bias,
        )
        groups += [{**group, "momentum": settings.momentum, "part": part} for group in found]
    return groups


def part_lrs(parts: Mapping[Part, PartSettings]) -> dict[Part, float]:
    """The base learning rate of each part, 0 of one that is not trained; for `ReidModule`."""
    return {part: settings.base_lr if settings.trained else 0.0 for part, settings in parts.items()}
