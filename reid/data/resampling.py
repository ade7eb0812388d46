"""Parts of training images at the input's size, and turned images: random resized crops, rotations.

Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6, with the ranges that torchvision has.
The aspect of a part is measured on the packed image, whose sides may have been resized by different factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from reid.data.placing import constant, sent

_ATTEMPTS = 10  # parts drawn for each image, as torchvision draws them; the first that fits is taken


@dataclass(frozen=True)
class ResizedCrop:
    """Cuts a random part out of each image and resizes it to the input's size; each image has its own draw.

    Attributes:
        height: of the result, pixels.
        width: of the result, pixels.
        scale: share of the image's area, drawn uniformly from this range.
        ratio: width over height of the part, drawn log-uniformly from this range.
    """

    height: int
    width: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """The parts of images of a size: int64 [B, 4], top, left, height, width in pixels.

        Where none of the drawn parts fits into the image, it is the largest one in its middle whose aspect is in range.
        """
        u = torch.rand(4, batch, _ATTEMPTS, generator=generator)
        area = (self.scale[0] + u[0] * (self.scale[1] - self.scale[0])) * height * width
        low, high = (math.log(ratio) for ratio in self.ratio)
        aspect = torch.exp(low + u[1] * (high - low))
        w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.int().argmax(dim=1, keepdim=True)  # [B, 1]
        h, w, v, s, fits = (t.gather(1, first)[:, 0] for t in (h, w, u[2], u[3], fits))
        top, left = (v * (height - h + 1)).floor(), (s * (width - w + 1)).floor()
        middle = torch.tensor(self._middle(height, width))
        return torch.where(fits[:, None], torch.stack([top, left, h, w], dim=1).long(), middle)

    def _middle(self, height: int, width: int) -> tuple[int, int, int, int]:
        h = min(height, max(1, round(width / self.ratio[0])))
        w = min(width, max(1, round(height * self.ratio[1])))
        return (height - h) // 2, (width - w) // 2, h, w

    def __call__(self, images: Tensor, parts: Tensor) -> Tensor:
        """uint8 [B, h, w, 3] to uint8 [B, H, W, 3], by tensor operations.

        Bilinear, and where a part becomes smaller the triangle is as wide as its step (antialiased), as Pillow and
        torchvision do. Both directions are products with matrices that hold a part's weights and zeros elsewhere.

        Args:
            images: on any device.
            parts: what `draw` gave.
        """
        batch, height, width, _ = images.shape
        top, left, h, w = sent(parts, images.device).unbind(1)
        rows = _weights(top, h, height, self.height)  # [B, H, h]
        columns = _weights(left, w, width, self.width)  # [B, W, w]
        tall = (rows @ images.float().flatten(2)).view(batch, self.height, width, 3)
        turned = columns @ tall.transpose(1, 2).flatten(2)  # [B, W, w] x [B, w, 3 H]
        resized = turned.view(batch, self.width, self.height, 3).transpose(1, 2)
        return (resized + 0.5).to(torch.uint8).contiguous()  # bytes are cut off, so this rounds


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turns uint8 [B, H, W, 3] counter-clockwise about the centre, bilinear; what comes from outside is black.

    Args:
        images: on any device.
        degrees: float [B], on the CPU.
    """
    source = turned_by(sent(degrees, images.device))
    return affine(images.permute(0, 3, 1, 2), source, "bilinear").permute(0, 2, 3, 1).contiguous()


def turned_by(degrees: Tensor) -> Tensor:
    """float [B, 2, 3]: where the pixels of images turned counter-clockwise by these angles come from; see `affine`."""
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)


def affine(images: Tensor, source: Tensor, mode: Literal["nearest", "bilinear"]) -> Tensor:
    """Takes each pixel of uint8 [B, 3, H, W] from its source; black outside.

    Args:
        source: float [B, 2, 3], from (x, y, 1) to the source (x, y), in pixels from the centre of the image.
    """
    height, width = images.shape[2:]
    size = constant((float(width), float(height), 2.0), images.device)  # coordinates run from -1 to 1: half sizes
    grid = functional.affine_grid(
        source * size / size[:2, None], list(images.shape), align_corners=False
    )  # [B, 2, 3] * [3] / [2, 1]
    moved = functional.grid_sample(images.float(), grid, mode=mode, align_corners=False)
    return moved.round_().to(torch.uint8)


def _weights(start: Tensor, length: Tensor, whole: int, size: int) -> Tensor:
    """float [B, size, whole]: how much each pixel of a line gives to each of the `size` that a part of it becomes.

    Args:
        start: int64 [B], where the part begins.
        length: int64 [B], of the part.
    """
    device = start.device
    step = (length / size)[:, None, None]  # [B, 1, 1], in pixels of the line
    centre = start[:, None, None] + (torch.arange(size, device=device)[:, None] + 0.5) * step  # [B, size, 1]
    place = torch.arange(whole, device=device)
    weight = (1 - (place + 0.5 - centre).abs() / step.clamp(min=1)).clamp_(min=0)  # [B, size, whole]
    inside = (place >= start[:, None]) & (place < (start + length)[:, None])  # [B, whole]
    weight = weight * inside[:, None]
    normalised: Tensor = weight / weight.sum(dim=2, keepdim=True)
    return normalised
