"""The operations of AutoAugment on batches, each image by its own strength; torchvision's where they have none."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from reid.data.resampling import affine, turned_by

_ROUNDING = 1e-3  # a product that should be a whole number is not cut to the one below it, on whatever device


def apply(name: str, images: Tensor, strength: Tensor) -> Tensor:
    """One operation on every image.

    Args:
        name: see `_OPERATIONS`.
        images: uint8 [B, H, W, 3].
        strength: float [B], on the same device; degrees, columns for each row, what is added to a factor of 1, bits,
            or a threshold in 0..255.
    """
    changed: Tensor = _OPERATIONS[name](images.permute(0, 3, 1, 2), strength[:, None, None, None])
    return changed.permute(0, 2, 3, 1)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    return images & (256 - torch.exp2(8 - bits)).to(torch.uint8)


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(images >= threshold, ~images, images)


def _color(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, functional.rgb_to_grayscale(images), 1 + strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    grey = functional.rgb_to_grayscale(images).float()
    return _blend(images, grey.mean(dim=(1, 2, 3), keepdim=True), 1 + strength)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, functional.adjust_sharpness(images, 0.0), 1 + strength)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """factor * images + (1 - factor) * other, cut to a whole number; factors above 1 lead away from `other`."""
    mixed = images * factor + other * (1 - factor)
    return (mixed + _ROUNDING).clamp_(0, 255).to(torch.uint8)


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    return affine(images, turned_by(degrees.flatten()), "nearest")


def _shear_x(images: Tensor, strength: Tensor) -> Tensor:
    """Moves each row against the top one."""
    slope = strength.flatten()
    zero, one = torch.zeros_like(slope), torch.ones_like(slope)
    to_top = slope * images.shape[2] / 2
    source = torch.stack([one, slope, to_top, zero, one, zero], dim=1).view(-1, 2, 3)
    return affine(images, source, "nearest")


_OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "auto_contrast": lambda images, _: functional.autocontrast(images),
    "color": _color,
    "contrast": _contrast,
    "equalize": lambda images, _: functional.equalize(images),
    "invert": lambda images, _: ~images,
    "posterize": _posterize,
    "rotate": _rotate,
    "sharpness": _sharpness,
    "shear_x": _shear_x,
    "solarize": _solarize,
}
