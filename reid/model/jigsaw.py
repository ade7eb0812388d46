"""The jigsaw patch branch: shuffled parts of the patches, each seen by a last block of its own.

Source: He et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021, section 3.2. It differs from the
published code where that departs from the paper or loses patches: the shift is by `shift` patches (not one less), and
numbers of patches that groups or parts do not divide are used to the last patch.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid.errors import SpecError


class Jigsaw(nn.Module):
    """Features of the parts of an image, from the tokens before the backbone's last block.

    Args:
        backbone: a plain vision transformer; its last block and norm are where the branch's own start from.
        shift: the first patches, this many, are moved to the end (`model.shift_num`).
        groups: the sequence is cut into this many groups, and parts take patches of each in turn
            (`model.shuffle_group`).
        parts: which the sequence is divided into (`model.devide_length`); of equal length, or the first are one longer.
        re_arrange: whether to shift and shuffle; without, a part is a strip of the image (`model.re_arrange`).

    Raises:
        SpecError: there are fewer patches than parts.
    """

    def __init__(self, backbone: nn.Module, *, shift: int, groups: int, parts: int, re_arrange: bool) -> None:
        super().__init__()
        vit = cast(Any, backbone)
        count = vit.patch_embed.num_patches
        if count < parts:
            raise SpecError(
                f"model.devide_length={parts}, and an image has {count} patches",
                "a part holds at least one patch",
                f"set model.devide_length to at most {count}",
            )
        self.block = copy.deepcopy(vit.blocks[-1])
        self.norm = copy.deepcopy(vit.norm)
        self.prefix = vit.num_prefix_tokens
        order = patch_order(count, shift=shift, groups=groups) if re_arrange else list(range(count))
        self.order: Tensor
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self.parts = parts

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Tokens float [B, prefix + N, D] to those of each part behind block and norm [B, prefix + N / parts, D]."""
        prefix, patches = tokens[:, : self.prefix], tokens[:, self.prefix :]
        shares = patches[:, self.order].tensor_split(self.parts, dim=1)
        return [self.norm(self.block(torch.cat([prefix, share], dim=1))) for share in shares]

    def start_from(self, backbone: nn.Module) -> None:
        """Takes the backbone's last block and norm as they are now: called once its pretrained weights are in."""
        vit = cast(Any, backbone)
        self.block.load_state_dict(vit.blocks[-1].state_dict())
        self.norm.load_state_dict(vit.norm.state_dict())


def patch_order(count: int, *, shift: int, groups: int) -> list[int]:
    """Old places of the patches in their new order.

    Eight patches, shift 3, two groups: 3 4 5 6 7 0 1 2 after the shift, cut into 3 4 5 6 and 7 0 1 2, taken in turn:
    3 7 4 0 5 1 6 2.
    """
    shift %= count
    shifted = [*range(shift, count), *range(shift)]
    length = -(-count // groups)
    cut = [shifted[start : start + length] for start in range(0, count, length)]
    return [group[place] for place in range(length) for group in cut if place < len(group)]
