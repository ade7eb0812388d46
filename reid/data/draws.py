"""The random numbers of one augmented batch, drawn on the CPU before any pixel is touched.

A seed therefore gives the same pictures on any device, up to one grey level where a crop is resized, turned or blurred,
as compiled loops and tensor operations round apart. A process that trains on a part of the batch can draw for the whole
of it and keep its own rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ERASE_ATTEMPTS = 20  # rectangles drawn for each image; the first that fits is taken, and practically always one does

EraseMode = Literal["mean", "pixel"]


@dataclass(frozen=True)
class Crops:
    """Where each image of the result is taken from.

    Attributes:
        flip: bool [B], mirrored before the crop.
        top: int64 [B], first source row; negative rows are black.
        left: int64 [B], first source column of the mirrored image.
    """

    flip: Tensor
    top: Tensor
    left: Tensor

    def rows(self, part: slice) -> Crops:
        """Those of some images of the batch."""
        return Crops(self.flip[part], self.top[part], self.left[part])


@dataclass(frozen=True)
class Erasures:
    """The rectangle that is erased in each image.

    Attributes:
        box: int64 [B, 4]: top, left, height, width in pixels; the height is 0 where nothing is erased.
        noise: float32, 3 values for each erased pixel, row by row and image after image; empty when a constant fills.
    """

    box: Tensor
    noise: Tensor

    @property
    def starts(self) -> Tensor:
        """int64 [B], where each image's values begin in `noise`."""
        sizes = 3 * self.box[:, 2] * self.box[:, 3]
        return sizes.cumsum(0) - sizes

    def rows(self, part: slice) -> Erasures:
        """Those of some images of the batch."""
        box = self.box[part]
        if not len(self.noise) or not len(box):
            return Erasures(box, self.noise[:0])
        first = int(self.starts[part][0])
        return Erasures(box, self.noise[first : first + int(3 * (box[:, 2] * box[:, 3]).sum())])


def draw_crops(batch: int, *, flip_prob: float, padding: int, generator: torch.Generator) -> Crops:
    """A horizontal flip with `flip_prob`, and a crop out of the image padded with `padding` pixels a side."""
    flip = torch.rand(batch, generator=generator) < flip_prob
    top, left = torch.randint(-padding, padding + 1, (2, batch), generator=generator)
    return Crops(flip, top, left)


def draw_erasures(
    batch: int, height: int, width: int, *, prob: float, mode: EraseMode, generator: torch.Generator
) -> Erasures:
    """One rectangle in a share `prob` of the images.

    Args:
        batch: images.
        height: of an image, pixels.
        width: of an image, pixels.
        prob: probability for each image.
        mode: "mean": 2 to 40 % of the area, aspect 0.3 to 3.33 uniform, no noise. "pixel": 2 to 33 %, aspect
            log-uniform in the same range, with standard normal noise for every value that is erased.
        generator: on the CPU.

    Source: Zhong et al., Random Erasing Data Augmentation, AAAI 2020, algorithm 1.
    """
    chosen = torch.rand(batch, generator=generator) < prob
    u = torch.rand(4, batch, ERASE_ATTEMPTS, generator=generator)
    area = (0.02 + u[0] * ((0.4 if mode == "mean" else 1 / 3) - 0.02)) * height * width
    low, high = 0.3, 1 / 0.3
    aspect = low + u[1] * (high - low) if mode == "mean" else torch.exp(math.log(low) + u[1] * math.log(high / low))
    h, w = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (h < height) & (w < width) & (h > 0) & (w > 0)
    first = fits.int().argmax(dim=1, keepdim=True)  # [B, 1]
    h, w, v, s, fits = (t.gather(1, first)[:, 0] for t in (h, w, u[2], u[3], fits))
    top, left = (v * (height - h + 1)).floor(), (s * (width - w + 1)).floor()
    box = torch.stack([top, left, h, w], dim=1).long() * (chosen & fits)[:, None]
    count = int(3 * (box[:, 2] * box[:, 3]).sum()) if mode == "pixel" else 0
    return Erasures(box, torch.randn(count, generator=generator))
