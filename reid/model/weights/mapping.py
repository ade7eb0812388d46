"""From the names in a file to those of a network: which layout it is, what goes where, and what has no place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from reid.model.weights.layouts import ALWAYS_LEFT_OUT, BY_ORDER, Layout, recognise, without_wrappers

_BACKBONE = "backbone."


@dataclass(frozen=True)
class Mapped:
    """A file's tensors by the network's names.

    Attributes:
        layout: whose names the file has.
        backbone: tensors for the backbone, by its own names; also those of unknown names, which timm may know.
        parts: tensors for other parts of the network, by the network's names.
        origins: for each name in `backbone` and `parts` the name in the file.
        left_out: names in the file that go nowhere, and why.
    """

    layout: Layout
    backbone: dict[str, Tensor]
    parts: dict[str, Tensor]
    origins: dict[str, str]
    left_out: dict[str, str]


def map_names(weights: dict[str, Tensor], own: dict[str, Tensor]) -> Mapped:
    """Reads the names of a file.

    Args:
        weights: the file's tensors.
        own: the backbone's.
    """
    bare = {name: without_wrappers(name, own) for name in weights}
    layout = recognise(weights, bare.values())
    last = _last_block(bare.values())
    left_out: dict[str, str] = {}
    placed: dict[str, tuple[int, str, Tensor]] = {}  # by target: which rule put it there, its name, its numbers
    for name, tensor in weights.items():
        target, rank, numbers = _place(layout, bare[name], tensor, last)
        if rank == len(layout.rules) and bare[name] not in own and (reason := _reason(layout, bare[name])):
            left_out[name] = reason
        elif target not in placed or rank < placed[target][0]:
            if target in placed:
                left_out[placed[target][1]] = f"{name} stands in its place"
            placed[target] = rank, name, numbers
        else:
            left_out[name] = f"{placed[target][1]} stands in its place"
    origins = {target.removeprefix(_BACKBONE): name for target, (_, name, _) in placed.items()}
    return Mapped(
        layout,
        {t.removeprefix(_BACKBONE): numbers for t, (_, _, numbers) in placed.items() if t.startswith(_BACKBONE)},
        {target: numbers for target, (_, _, numbers) in placed.items() if not target.startswith(_BACKBONE)},
        origins,
        left_out,
    )


def map_by_order(weights: dict[str, Tensor], own: dict[str, Tensor]) -> Mapped | None:
    """The file's tensors under the backbone's names when kinds and shapes agree in order; None when they do not.

    After the backbone's tensors the file may have its classifier: a weight and a bias. Pooling's exponent, which is
    this package's own, is left as it is.
    """
    targets = [name for name in own if not name.startswith("global_pool.")]
    names, rest = list(weights)[: len(targets)], list(weights)[len(targets) :]
    if len(names) < len(targets) or len(rest) > 2:
        return None
    pairs = list(zip(targets, names, strict=True))
    if any(own[target].shape != weights[name].shape or _kind(target) != _kind(name) for target, name in pairs):
        return None
    backbone = {target: weights[name] for target, name in pairs}
    return Mapped(BY_ORDER, backbone, {}, dict(pairs), dict.fromkeys(rest, "it comes after the backbone's last tensor"))


def _place(layout: Layout, bare: str, tensor: Tensor, last: int) -> tuple[str, int, Tensor]:
    """Where a tensor goes, by which of the rules (their number for none), and its numbers there."""
    for rank, rule in enumerate(layout.rules):
        match = re.fullmatch(rule.source, bare)
        if match and rule.ndim in (None, tensor.ndim):
            target = match.expand(rule.target.replace("{last}", str(last)))
            return target, rank, rule.change(tensor) if rule.change else tensor
    return _BACKBONE + bare, len(layout.rules), tensor


def _reason(layout: Layout, bare: str) -> str:
    entries = (*layout.left_out, *ALWAYS_LEFT_OUT)
    return next((entry.reason for entry in entries if re.fullmatch(entry.source, bare)), "")


def _last_block(names: Iterable[str]) -> int:
    return max((int(match[1]) for name in names if (match := re.match(r"blocks\.(\d+)\.", name))), default=0)


def _kind(name: str) -> str:
    """What a tensor is in its layer: weight, bias, running_mean."""
    return name.rpartition(".")[2]
