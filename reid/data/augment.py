"""Training augmentation of whole batches, on the device that trains: flip, pad and crop, normalise, random erasing.

All random numbers are drawn on the CPU from one generator and only then moved, so that a seed gives the same pictures
on any device and with any number of loader processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reid.data.colour import ColourJitter
from reid.data.images import pixel_scale

_ERASE_ATTEMPTS = 20  # rectangles drawn for each image; the first that fits is taken, and practically always one does


@dataclass(frozen=True)
class Augmentation:
    """How a training batch is changed.

    Attributes:
        flip_prob: probability of a horizontal flip.
        padding: pixels of black added on each side before a random crop back to the original size.
        erase_prob: probability that a random rectangle is erased.
        erase_mode: "mean" fills with `mean` taken as normalised values, as bag-of-tricks code does; "pixel" fills with
            standard normal noise, as transformer recipes do.
        mean: subtracted from RGB in [0, 1].
        std: divides after that.
        colour: jitter of the colours, before the normalisation; None for none.
    """

    flip_prob: float
    padding: int
    erase_prob: float
    erase_mode: Literal["mean", "pixel"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colour: ColourJitter | None = None

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 [B, H, W, 3] to float32 [B, 3, H, W] in channels_last memory; each image has its own draw."""
        images = flip_and_crop(images, flip_prob=self.flip_prob, padding=self.padding, generator=generator)
        if self.colour:
            images = self.colour(images, generator)
        pixels = to_network_input(images, mean=self.mean, std=self.std)
        return erase(pixels, prob=self.erase_prob, mode=self.erase_mode, fill=self.mean, generator=generator)


def to_network_input(images: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 or float [B, H, W, 3] in 0..255 to normalised float32 [B, 3, H, W], channels_last, by `pixel_scale`."""
    scale, shift = (torch.tensor(values, device=images.device) for values in pixel_scale(mean, std))
    return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)  # a view: channels stay innermost


def flip_and_crop(images: Tensor, *, flip_prob: float, padding: int, generator: torch.Generator) -> Tensor:
    """Random horizontal flip, then a random H x W crop out of the image padded with `padding` black pixels a side.

    Args:
        images: uint8 [B, H, W, 3].
    """
    batch, height, width, _ = images.shape
    flip = torch.rand(batch, generator=generator) < flip_prob
    top, left = torch.randint(-padding, padding + 1, (2, batch), generator=generator)
    y = torch.arange(height)[None, :] + top[:, None]  # [B, H], source row of each row
    x = torch.arange(width)[None, :] + left[:, None]  # [B, W]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]  # [B, H, W]
    x = torch.where(flip[:, None], width - 1 - x, x)
    source = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]
    source += torch.arange(batch)[:, None, None] * (height * width)  # [B, H, W], pixel number in the whole batch
    device = images.device
    pixels = images.reshape(-1, 3).index_select(0, source.flatten().to(device)).view(images.shape)
    cropped: Tensor = pixels * inside[..., None].to(device)
    return cropped


def erase(
    pixels: Tensor,
    *,
    prob: float,
    mode: Literal["mean", "pixel"],
    fill: tuple[float, float, float],
    generator: torch.Generator,
) -> Tensor:
    """Random erasing of one rectangle in a share of the images.

    Args:
        pixels: float [B, 3, H, W], normalised.
        prob: probability for each image.
        mode: "mean": 2 to 40 % of the area, aspect 0.3 to 3.33 uniform, filled with `fill`. "pixel": 2 to 33 %, aspect
            log-uniform in the same range, filled with normal noise.
        fill: value of each channel in mode "mean".

    Source: Zhong et al., Random Erasing Data Augmentation, AAAI 2020, algorithm 1.
    """
    batch, _, height, width = pixels.shape
    chosen = torch.rand(batch, generator=generator) < prob
    u = torch.rand(4, batch, _ERASE_ATTEMPTS, generator=generator)
    area = (0.02 + u[0] * ((0.4 if mode == "mean" else 1 / 3) - 0.02)) * height * width
    low, high = 0.3, 1 / 0.3
    aspect = low + u[1] * (high - low) if mode == "mean" else torch.exp(math.log(low) + u[1] * math.log(high / low))
    h, w = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (h < height) & (w < width) & (h > 0) & (w > 0)
    first = fits.int().argmax(dim=1, keepdim=True)  # [B, 1]
    h, w, v, s, fits = (t.gather(1, first)[:, 0] for t in (h, w, u[2], u[3], fits))
    top, left = (v * (height - h + 1)).floor(), (s * (width - w + 1)).floor()
    rows, columns = torch.arange(height)[None, :], torch.arange(width)[None, :]
    in_rows = (rows >= top[:, None]) & (rows < (top + h)[:, None])  # [B, H]
    in_columns = (columns >= left[:, None]) & (columns < (left + w)[:, None])  # [B, W]
    erased = (chosen & fits)[:, None, None] & in_rows[:, :, None] & in_columns[:, None, :]  # [B, H, W]
    if mode == "pixel":
        value = torch.randn(pixels.shape, generator=generator).to(pixels.device)
    else:
        value = torch.tensor(fill, device=pixels.device)[None, :, None, None]
    return torch.where(erased[:, None].to(pixels.device), value, pixels)
