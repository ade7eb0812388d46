"""What a network takes from a source beside its backbone: reduction or embedder, the neck, those of a jigsaw."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from reid.model.network import ReidNetwork

_PART = re.compile(r"((?:parts\.\d+\.)?(?:reduction|neck)|jigsaw|embedder)\..+")
_KEYS = {
    "reduction": "model.feat_dim, model.reduce_feat_dim",
    "embedder": "model.backbone, model.feat_dim",
    "neck": "model.neck, model.feat_dim",
    "jigsaw": "model.jpm",
    "parts": "model.jpm",
}
"""What decides whether a network has a part, and of which shape."""


def take_parts(network: ReidNetwork, tensors: dict[str, Tensor]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Fills reduction or embedder, neck and those of a jigsaw, each whole or not at all.

    A neck's statistics are those of the vectors that reach it: it is taken only behind the source's own reduction, or
    where neither side has one.

    Args:
        network: changed in place.
        tensors: of the source, under names such as `neck.weight` or `parts.0.neck.weight`.

    Returns:
        The parts that were taken, and for each tensor that was not the reason.
    """
    refused = dict.fromkeys((name for name in tensors if not _PART.fullmatch(name)), "the network has no such part")
    found = {match[1] for name in tensors if (match := _PART.fullmatch(name))}
    taken: list[str] = []
    for part in sorted(found, key=lambda part: (part.endswith("neck"), part)):  # reductions before necks
        theirs = {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
        own = _state(network, part)
        reason = _misfit(own, theirs, part)
        reduction = part.replace("neck", "reduction")
        if (
            not reason
            and part != reduction
            and reduction not in taken
            and (_state(network, reduction) or any(name.startswith(f"{reduction}.") for name in tensors))
        ):
            reason = "the vectors that reach it come from another reduction than here (model.feat_dim)"
        if reason:
            refused |= {f"{part}.{name}": reason for name in theirs}
            continue
        zeros = {name: torch.zeros_like(own[name]) for name in own.keys() - theirs.keys()}
        network.get_submodule(part).load_state_dict(theirs | zeros, strict=False)
        taken.append(part)
    return tuple(taken), refused


def _state(network: ReidNetwork, part: str) -> dict[str, Tensor]:
    """The network's own tensors of a part; none where it has no such part."""
    state = network.state_dict()
    return {
        name.removeprefix(f"{part}."): tensor
        for name, tensor in state.items()
        if name.startswith(f"{part}.") and not name.endswith("num_batches_tracked")
    }


def _misfit(own: dict[str, Tensor], theirs: dict[str, Tensor], part: str) -> str:
    """Why the source's part cannot be this network's; "" when it can.

    A reduction without a bias, as fast-reid's, is one whose bias is zero.
    """
    key = _KEYS[part.partition(".")[0]]
    if not own:
        return f"this network has no {part} ({key})"
    for name in sorted(own.keys() & theirs.keys()):
        if own[name].shape != theirs[name].shape:
            return f"its shape is {tuple(theirs[name].shape)}, and here {tuple(own[name].shape)} ({key})"
    lacking = own.keys() - theirs.keys() - ({"bias"} if part.endswith("reduction") else set())
    if lacking:
        return f"the source has no {part}.{min(lacking)}"
    if extra := theirs.keys() - own.keys():
        return f"this network has no {part}.{min(extra)}"
    return ""
