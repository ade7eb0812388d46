"""Optimisers and learning rates with TAO's rules: per-kind factors, warm-up, then steps or a cosine, by epoch."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from reid.errors import SpecError


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves; `factor` multiplies every group's own rate.

    Attributes:
        method: "linear" or "constant" warm-up followed by steps, or "cosine": linear warm-up, then half a cosine.
        num_epochs: length of the training, for the cosine.
        warmup_epochs: of the cosine.
        warmup_iters: of linear and constant; counted in epochs, as TAO counts them.
        warmup_factor: first factor of linear and constant.
        milestones: epochs after which the rate is multiplied by gamma.
        gamma: see milestones.
    """

    method: Literal["linear", "constant", "cosine"]
    num_epochs: int
    warmup_epochs: int = 20
    warmup_iters: int = 10
    warmup_factor: float = 0.01
    milestones: tuple[int, ...] = (40, 70)
    gamma: float = 0.1

    def factor(self, epoch: int) -> float:
        """Factor during epoch `epoch`, counted from 0. The rules count from 1: the first epoch has index 1."""
        index = epoch + 1
        if self.method == "cosine":
            return self._cosine(index)
        decay = self.gamma ** sum(index >= milestone for milestone in self.milestones)
        if index >= self.warmup_iters:
            return decay
        alpha = index / self.warmup_iters if self.method == "linear" else 0.0
        return decay * (self.warmup_factor * (1 - alpha) + alpha)

    def _cosine(self, index: int) -> float:
        start, low = 0.01, 0.002
        if index < self.warmup_epochs:
            return start + index * (1 - start) / self.warmup_epochs
        return low + 0.5 * (1 - low) * (1 + math.cos(math.pi * min(index, self.num_epochs) / self.num_epochs))


def parameter_groups(
    module: nn.Module,
    *,
    base_lr: float,
    weight_decay: float,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float = 0.0,
    large_fc_lr: bool = False,
) -> list[dict[str, Any]]:
    """Groups of parameters that share a learning rate and a weight decay.

    Args:
        module: its trainable parameters are grouped.
        base_lr: of weights.
        weight_decay: of weights.
        bias_lr_factor: learning rate of biases over `base_lr`.
        weight_decay_bias: of biases.
        large_fc_lr: the ID classifier learns twice as fast.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        is_bias = name.endswith("bias")
        lr = base_lr * (bias_lr_factor if is_bias else 1.0)
        if large_fc_lr and name.rpartition(".")[0].endswith("classifier"):
            lr = base_lr * 2
        decay = weight_decay_bias if is_bias else weight_decay
        groups.setdefault((lr, decay), []).append(parameter)
    return [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def build_optimizer(name: str, groups: list[dict[str, Any]], *, momentum: float) -> Optimizer:
    """An optimiser of torch.optim by name, any case; `momentum` is used where the optimiser has one.

    Raises:
        SpecError: torch.optim has no such optimiser, or it cannot train a network from mini-batches alone.
    """
    known = {n.lower(): c for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, Optimizer)}
    for unusable in ("optimizer", "lbfgs", "sparseadam"):
        known.pop(unusable, None)
    chosen = known.get(name.lower())
    if chosen is None:
        raise SpecError(
            f"train.optim.name={name}",
            "it is not an optimiser that PyTorch offers for this kind of training",
            f"choose one of {', '.join(sorted(c.__name__ for c in known.values()))}",
        )
    options: dict[str, Any] = {"momentum": momentum} if _takes(chosen, "momentum") else {}
    optimizer: Optimizer = chosen(groups, **options)
    return optimizer


def _takes(optimizer: type[Optimizer], option: str) -> bool:
    return option in inspect.signature(optimizer).parameters
