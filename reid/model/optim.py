"""Optimisers of torch.optim by name, and what each parameter learns with: by its kind, and by its depth."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from reid.errors import SpecError

_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
"""Those that update all parameters by one kernel on the devices of `_FUSED_DEVICES`."""

_FUSED_DEVICES = {"cpu", "cuda"}


def parameter_groups(
    network: nn.Module,
    *,
    base_lr: float,
    weight_decay: float,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float = 0.0,
    large_fc_lr: bool = False,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups of parameters that share a learning rate and a weight decay.

    Args:
        network: its trainable parameters are grouped.
        base_lr: of weights.
        weight_decay: of weights.
        bias_lr_factor: learning rate of biases over `base_lr`.
        weight_decay_bias: of biases.
        large_fc_lr: the ID classifier learns twice as fast.
        layer_decay: learning rate of each block of `network.backbone` over that of what follows it. The last block
            (and a jigsaw's copy of it) has it once, as neck and classifier follow it with the full rate.

    Raises:
        SpecError: layer_decay below 1, and timm cannot tell the blocks of the backbone.
    """
    scales = _scales_by_depth(network, layer_decay) if layer_decay < 1 else {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        is_bias = name.endswith("bias")
        lr = base_lr * (bias_lr_factor if is_bias else 1.0)
        if large_fc_lr and name.rpartition(".")[0].endswith("classifier"):
            lr = base_lr * 2
        decay = weight_decay_bias if is_bias else weight_decay
        groups.setdefault((lr * scales.get(name, 1.0), decay), []).append(parameter)
    return [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]


def build_optimizer(name: str, groups: list[dict[str, Any]], *, momentum: float, fused: bool = True) -> Optimizer:
    """An optimiser of torch.optim by name, any case; momentum is used where the optimiser has one.

    Args:
        name: of a class.
        groups: see `parameter_groups` and `part_groups`.
        momentum: of SGD, in groups without one of their own.
        fused: one kernel for all parameters where the optimiser and the parameters' device have it; elsewhere
            PyTorch's own choice.

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
    groups = [{key: value for key, value in group.items() if key != "momentum" or options} for group in groups]
    if fused and chosen in _FUSED and {p.device.type for group in groups for p in group["params"]} <= _FUSED_DEVICES:
        options["fused"] = True
    optimizer: Optimizer = chosen(groups, **options)
    return optimizer


def take_settings(states: dict[str, Any], optimizer: Optimizer) -> None:
    """Gives a stored optimiser state, changed in place, the settings of a new optimiser; its moments stay.

    PyTorch lets the stored settings win, down to the kind of kernel. On resume the spec and the device shall.

    Args:
        states: what `Optimizer.state_dict` gave.
        optimizer: of the same parameters in the same groups.

    Raises:
        ValueError: the groups are others.
    """
    then, now = states["param_groups"], optimizer.param_groups
    if [len(group["params"]) for group in then] != [len(group["params"]) for group in now]:
        raise ValueError("the stored parameter groups are others")
    for stored, group in zip(then, now, strict=True):
        stored.update({key: value for key, value in group.items() if key != "params"})


def _scales_by_depth(network: nn.Module, layer_decay: float) -> dict[str, float]:
    """Factor on the learning rate of each parameter of the backbone, by name; the depths are timm's.

    Source: Clark et al., ELECTRA, ICLR 2020, appendix A (layerwise learning-rate decay); Bao et al., BEiT, 2021.
    """
    from timm.models import group_parameters  # timm takes seconds to import

    backbone: Any = network.get_submodule("backbone")
    matcher = getattr(backbone, "group_matcher", None)
    depths = group_parameters(backbone, matcher(coarse=False), reverse=True) if matcher else {}
    if len(set(depths.values())) < 2:
        raise SpecError(
            f"train.optim.layer_decay={layer_decay} with a backbone of kind {type(backbone).__name__}",
            "timm does not say which of its parameters belong to which block, so that no block is known to come later",
            "set train.optim.layer_decay=1, or choose a vision transformer, a Swin, a ResNet or a ConvNeXt",
        )
    deepest = max(depths.values())
    scales = {f"backbone.{name}": layer_decay ** (deepest + 1 - depth) for name, depth in depths.items()}
    return scales | {name: layer_decay for name, _ in network.named_parameters() if name.startswith("jigsaw.")}


def _takes(optimizer: type[Optimizer], option: str) -> bool:
    return option in inspect.signature(optimizer).parameters
