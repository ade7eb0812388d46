"""Plain vision transformers: which networks are one, and patches that overlap.

Source: He et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021, section 3.1 and equation 2.
"""

from __future__ import annotations

from typing import Any, cast

from timm.layers import PatchEmbed, resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from reid.errors import SpecError


def require_plain_vit(backbone: nn.Module, name: str, asked: str) -> None:
    """Refuses a network without a sequence of patches between its layers.

    Args:
        backbone: the network.
        name: its name in the spec.
        asked: the key that needs the patches, and its value.

    Raises:
        SpecError: it is no plain vision transformer.
    """
    if isinstance(backbone, VisionTransformer) and isinstance(backbone.patch_embed, PatchEmbed):
        return
    raise SpecError(
        f"{asked} with model.backbone={name}",
        "it works on a sequence of patches that stays the same from the first block to the last, which convolutional "
        "networks, Swin and hybrids of both do not have",
        "choose a plain vision transformer (timm's vit_* and deit_* networks, such as vit_base_patch16_224 or "
        "deit_small_patch16_224), or take the key out of the spec",
    )


def set_patch_grid(backbone: nn.Module, size: tuple[int, int], stride: tuple[int, int]) -> None:
    """Gives a plain vision transformer another input size and stride of its patches; positions are resampled.

    The patches of an image are then floor((side - patch) / stride) + 1 in each direction.

    Args:
        backbone: as timm makes it; changed in place.
        size: height and width in pixels.
        stride: down and across, in pixels.

    Raises:
        SpecError: the stride is longer than the patch.
    """
    vit = cast(Any, backbone)
    patches = vit.patch_embed
    if any(step > side for step, side in zip(stride, patches.patch_size, strict=True)):
        raise SpecError(
            f"model.stride_size={list(stride)} with patches of {' x '.join(map(str, patches.patch_size))} pixels",
            "the pixels between the patches would not be seen",
            f"use strides of at most {list(patches.patch_size)}; shorter ones overlap",
        )
    before = patches.grid_size
    patches.img_size = size
    patches.grid_size = tuple((s - p) // step + 1 for s, p, step in zip(size, patches.patch_size, stride, strict=True))
    patches.num_patches = patches.grid_size[0] * patches.grid_size[1]
    patches.proj.stride = stride
    if vit.pos_embed is not None and patches.grid_size != before:
        resampled = resample_abs_pos_embed(
            vit.pos_embed.detach(),
            new_size=patches.grid_size,
            old_size=before,
            num_prefix_tokens=0 if vit.no_embed_class else vit.num_prefix_tokens,
        )
        vit.pos_embed = nn.Parameter(resampled, requires_grad=vit.pos_embed.requires_grad)
