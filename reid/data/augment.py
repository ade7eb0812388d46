"""Training augmentation of whole batches, on the device that trains.

The order is AutoAugment, resized crop, flip, pad and crop, rotation, colour jitter, normalisation, blur, random
erasing; each but the normalisation may be left out. (A blur of normalised values is the normalised blur.) All random
numbers are drawn on the CPU from one generator before any pixel moves. The pixels are then moved by compiled loops on a
CPU (`pixel_kernels.py`, `resampling_kernels.py`) and by tensor operations on any other device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reid.data import pixel_kernels, resampling_kernels
from reid.data.auto_augment import AutoAugment, Operations
from reid.data.blur import GaussianBlur
from reid.data.colour import ColourJitter
from reid.data.draws import Crops, EraseMode, Erasures, draw_crops, draw_erasures
from reid.data.images import pixel_scale
from reid.data.placing import constant, sent
from reid.data.resampling import ResizedCrop, rotate


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch.

    Attributes:
        crops: flips and crops.
        colour: float [4, B], see `ColourJitter.draw`; None without jitter.
        erasures: rectangles that are erased.
        auto: operations of AutoAugment; None without it.
        parts: int64 [B, 4], see `ResizedCrop.draw`; None without it.
        degrees: float [B], rotation; None without it.
        sigma: float [B], see `GaussianBlur.draw`; None without it.
    """

    crops: Crops
    colour: Tensor | None
    erasures: Erasures
    auto: Operations | None
    parts: Tensor | None = None
    degrees: Tensor | None = None
    sigma: Tensor | None = None

    def rows(self, part: slice) -> Draws:
        """Those of some images of the batch."""
        colour = None if self.colour is None else self.colour[:, part]
        auto = None if self.auto is None else self.auto.rows(part)
        each = (None if numbers is None else numbers[part] for numbers in (self.parts, self.degrees, self.sigma))
        return Draws(self.crops.rows(part), colour, self.erasures.rows(part), auto, *each)


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
        auto_augment: changes a share of the images before all else; None for none.
        resized_crop: cuts a part out of each image and resizes it to the input's size; None for images that have it.
        rotation: degrees, each image is turned counter-clockwise by up to so many, with black corners; 0 for none.
        blur: blurs each image by a width of its own; None for none.
    """

    flip_prob: float
    padding: int
    erase_prob: float
    erase_mode: EraseMode
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colour: ColourJitter | None = None
    auto_augment: AutoAugment | None = None
    resized_crop: ResizedCrop | None = None
    rotation: float = 0.0
    blur: GaussianBlur | None = None

    def __call__(self, images: Tensor, generator: torch.Generator, *, whole: int = 0, first: int = 0) -> Tensor:
        """uint8 [B, H, W, 3] to float32 [B, 3, H, W] in channels_last memory; each image has its own draw.

        With a resized crop, the result has its size instead.

        Args:
            images: on any device.
            generator: on the CPU.
            whole: images of the batch that these are a part of; 0 where they are all of it. The draws are then those
                that the whole batch would get.
            first: where the part begins.
        """
        batch, height, width, _ = images.shape
        draws = self.draw(whole or batch, height, width, generator).rows(slice(first, first + batch))
        return self.apply(images, draws)

    def draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """The random numbers of a batch of images of a size; what was added last draws last, and nothing while off."""
        size = (self.resized_crop.height, self.resized_crop.width) if self.resized_crop else (height, width)
        return Draws(
            draw_crops(batch, flip_prob=self.flip_prob, padding=self.padding, generator=generator),
            self.colour.draw(batch, generator) if self.colour else None,
            draw_erasures(batch, *size, prob=self.erase_prob, mode=self.erase_mode, generator=generator),
            self.auto_augment.draw(batch, generator) if self.auto_augment else None,
            self.resized_crop.draw(batch, height, width, generator) if self.resized_crop else None,
            torch.rand(batch, generator=generator) * self.rotation if self.rotation else None,
            self.blur.draw(batch, generator) if self.blur else None,
        )

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The pixels that the draws make of uint8 [B, H, W, 3]."""
        if self.auto_augment and draws.auto is not None:
            images = self.auto_augment(images, draws.auto)
        return self._by_loops(images, draws) if images.device.type == "cpu" else self.by_tensors(images, draws)

    def by_tensors(self, images: Tensor, draws: Draws) -> Tensor:
        """What follows AutoAugment, on any device, by tensor operations."""
        if self.resized_crop and draws.parts is not None:
            images = self.resized_crop(images, draws.parts)
        images = crop(images, draws.crops)
        if draws.degrees is not None:
            images = rotate(images, draws.degrees)
        if self.colour and draws.colour is not None:
            images = self.colour(images, draws.colour)
        pixels = to_network_input(images, mean=self.mean, std=self.std)
        if self.blur and draws.sigma is not None:
            pixels = self.blur(pixels, draws.sigma)
        return erase(pixels, draws.erasures, self.mean)

    def _by_loops(self, images: Tensor, draws: Draws) -> Tensor:
        """The same on a CPU, by compiled loops; a rotation by tensor operations there too."""
        if self.resized_crop and draws.parts is not None:
            size = self.resized_crop.height, self.resized_crop.width
            images = resampling_kernels.resized_crop(images, draws.parts, *size)
        images = pixel_kernels.crop(images, draws.crops)
        if draws.degrees is not None:
            images = rotate(images, draws.degrees)
        colour = None
        if self.colour and draws.colour is not None:
            colour = self.colour.maps(pixel_kernels.mean_colour(images), draws.colour)
        pixels = pixel_kernels.to_network_input(images, *pixel_scale(self.mean, self.std), colour)
        if self.blur and draws.sigma is not None:
            resampling_kernels.blur(pixels, *self.blur.weights(draws.sigma))
        pixel_kernels.erase(pixels, draws.erasures, self.mean)
        return pixels


def to_network_input(images: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 or float [B, H, W, 3] in 0..255 to normalised float32 [B, 3, H, W], channels_last, by `pixel_scale`."""
    scale, shift = (constant(tuple(values), images.device) for values in pixel_scale(mean, std))
    return torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)  # a view: channels stay innermost


def crop(images: Tensor, crops: Crops) -> Tensor:
    """Flips and crops uint8 [B, H, W, 3] by tensor operations; what lies outside is black."""
    batch, height, width, _ = images.shape
    flip, top, left = (sent(numbers, images.device) for numbers in (crops.flip, crops.top, crops.left))
    y = torch.arange(height, device=images.device)[None, :] + top[:, None]  # [B, H], source row of each row
    x = torch.arange(width, device=images.device)[None, :] + left[:, None]  # [B, W]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]  # [B, H, W]
    x = torch.where(flip[:, None], width - 1 - x, x).clamp(0, width - 1)
    image = torch.arange(batch, device=images.device)
    pixels = images[image[:, None, None], y.clamp(0, height - 1)[:, :, None], x[:, None, :]]  # [B, H, W, 3]
    cropped: Tensor = pixels * inside[..., None]
    return cropped


def erase(pixels: Tensor, erasures: Erasures, fill: tuple[float, float, float]) -> Tensor:
    """Fills the rectangles by tensor operations.

    Args:
        pixels: float [B, 3, H, W], normalised.
        erasures: the rectangles, and their noise if any.
        fill: value of each channel where there is no noise.
    """
    height, width = pixels.shape[2:]
    device = pixels.device
    box, starts = (sent(numbers, device) for numbers in (erasures.box, erasures.starts))
    top, left, h, w = (edge[:, None] for edge in box.unbind(1))  # [B, 1]
    y, x = torch.arange(height, device=device)[None, :] - top, torch.arange(width, device=device)[None, :] - left
    erased = ((y >= 0) & (y < h))[:, :, None] & ((x >= 0) & (x < w))[:, None, :]  # [B, H, W]
    if not len(erasures.noise):
        return torch.where(erased[:, None], constant(fill, device)[None, :, None, None], pixels)
    place = starts[:, None, None] + 3 * (y[:, :, None] * w[:, :, None] + x[:, None, :])  # [B, H, W], of the red value
    index = torch.where(erased, place, 0)[..., None] + torch.arange(3, device=device)  # [B, H, W, 3]
    noise = sent(erasures.noise, device)[index].permute(0, 3, 1, 2)  # a view: channels stay innermost
    return torch.where(erased[:, None], noise, pixels)
