"""Weights that depend on the size of the images, resampled for the network's own size by timm's rules."""

from __future__ import annotations

import logging
import sys
from typing import Any

from torch import Tensor, nn

from reid.model.backbone import build_backbone
from reid.model.patches import set_patch_grid
from reid.model.settings import SIDE_BY_SIDE, NetworkSettings

log = logging.getLogger(__name__)

_UPRIGHT_GRIDS = {128: (16, 8), 192: (24, 8), 210: (21, 10), 242: (22, 11), 310: (31, 10), 288: (24, 12), 512: (32, 16)}
"""Patches of upright images, rows and columns by their number: 256x128, 384x128 and 384x192, at strides 16, 12, 11 and
8. A number that is a square is one of a square image."""


def converted(
    weights: dict[str, Tensor], backbone: nn.Module, *, built_from: NetworkSettings, origin: NetworkSettings | None
) -> dict[str, Tensor]:
    """What timm would make of the weights before it loads them: current names, positions of the backbone's size.

    Args:
        weights: by the backbone's names, or by those of a file that timm knows to convert.
        backbone: that shall take them.
        built_from: what it was built from.
        origin: what the weights were trained in, where that is known.

    Returns:
        The weights as they are where timm cannot convert them.
    """
    try:
        if origin is None or built_from.backbone != origin.backbone:
            changed = _by_timms_rules(_with_upright_grid(weights, backbone), backbone)
        elif _grid(built_from) == _grid(origin):
            return weights
        else:
            changed = _from_size(origin, weights, built_from)
    except Exception as error:  # each family of timm's has rules of its own, and a foreign file breaks them in any way
        log.info("the weights are taken without timm's conversion (%s: %s)", type(error).__name__, error)
        return weights
    state = backbone.state_dict()
    # some conversions are for the authors' own files alone
    return changed if _fitting(changed, state) >= _fitting(weights, state) else weights


def _by_timms_rules(weights: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """What timm does to a file of pretrained weights before it loads it: older names, other patch and window sizes.

    It takes the positions in the file to form a square.
    """
    for kind in type(backbone).__mro__:
        convert: Any = getattr(sys.modules[kind.__module__], "checkpoint_filter_fn", None)
        if convert is not None:
            return dict(convert(dict(weights), backbone))
    return weights


def _with_upright_grid(weights: dict[str, Tensor], backbone: Any) -> dict[str, Tensor]:
    """The positions of patches of upright images, which timm would take to form a square, at the backbone's grid."""
    positions = weights.get("pos_embed")
    own = backbone.state_dict().get("pos_embed")
    if positions is None or own is None or positions.ndim != 3 or positions.shape == own.shape:
        return weights
    prefix = int(getattr(backbone, "num_prefix_tokens", 1))
    grid = _UPRIGHT_GRIDS.get(positions.shape[1] - prefix)
    if grid is None:
        return weights
    from timm.layers import resample_abs_pos_embed

    resampled = resample_abs_pos_embed(
        positions, new_size=list(backbone.patch_embed.grid_size), old_size=list(grid), num_prefix_tokens=prefix
    )
    return weights | {"pos_embed": resampled}


def _from_size(origin: NetworkSettings, weights: dict[str, Tensor], wanted: NetworkSettings) -> dict[str, Tensor]:
    """Weights of the same backbone at another size or stride; no size need be square, as the network itself resizes."""
    source: Any = build_backbone(origin)
    if not hasattr(source, "set_input_size"):
        return weights
    source.load_state_dict(weights, strict=False)
    size, stride = (wanted.input_height, wanted.input_width), wanted.stride_size
    if origin.stride_size == stride == SIDE_BY_SIDE:
        source.set_input_size(img_size=size)
    else:
        set_patch_grid(source, size, source.patch_embed.patch_size if stride == SIDE_BY_SIDE else stride)
    resized: dict[str, Tensor] = source.state_dict()
    return {name: resized.get(name, tensor) for name, tensor in weights.items()}


def _fitting(weights: dict[str, Tensor], state: dict[str, Tensor]) -> int:
    return sum(name in weights and weights[name].shape == tensor.shape for name, tensor in state.items())


def _grid(settings: NetworkSettings) -> tuple[int, int, tuple[int, int]]:
    """What decides how many positions a network of patches has."""
    return settings.input_height, settings.input_width, settings.stride_size
