"""Gaussian blur of whole batches, each image by a width of its own: one pass along the rows, one along the columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reid.data.placing import sent
from reid.errors import DataError

_REACH = 5  # standard deviations; what lies farther out has less than 4e-6 of the weight in the middle


@dataclass(frozen=True)
class GaussianBlur:
    """How training images are blurred.

    Attributes:
        kernel: width and height in pixels, odd. Nothing is summed farther out than five standard deviations.
        sigma: standard deviation in pixels, drawn for each image uniformly from this range.

    Raises:
        DataError: a size that is even or below 1, or a range that is not 0 < lowest <= highest.
    """

    kernel: tuple[int, int] = (15, 15)
    sigma: tuple[float, float] = (0.3, 0.7)

    def __post_init__(self) -> None:
        if any(size < 1 or size % 2 == 0 for size in self.kernel):
            raise DataError(
                f"the kernel of the Gaussian blur is {list(self.kernel)}",
                "it has a pixel in the middle and as many on each side",
                "give two odd numbers of pixels, for example [15, 15]",
            )
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise DataError(
                f"sigma of the Gaussian blur is {list(self.sigma)}",
                "it is the range of a width in pixels",
                "give the lowest and the highest, above 0, for example [0.3, 0.7]",
            )

    def draw(self, batch: int, generator: torch.Generator) -> Tensor:
        """float [B]: the standard deviation of each image."""
        low, high = self.sigma
        return low + torch.rand(batch, generator=generator) * (high - low)

    def weights(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """What each pixel takes from its neighbours along a row and along a column: float [B, taps] each, of sum 1.

        Args:
            sigma: what `draw` gave.
        """
        along_row, along_column = (self._weights(size, sigma) for size in self.kernel)
        return along_row, along_column

    def _weights(self, size: int, sigma: Tensor) -> Tensor:
        reach = min(size // 2, math.ceil(_REACH * self.sigma[1]))
        place = torch.arange(-reach, reach + 1)
        steps = place / sigma[:, None]  # [B, taps], in standard deviations
        weight = torch.exp(-0.5 * steps**2) * (steps.abs() <= _REACH)  # products with denormal numbers would be slow
        return weight / weight.sum(dim=1, keepdim=True)

    def __call__(self, pixels: Tensor, sigma: Tensor) -> Tensor:
        """float [B, 3, H, W] to the same, mirrored at the edges without repeating them, by tensor operations.

        Args:
            pixels: in channels_last memory, on any device; as the weights sum to 1, normalised or not.
            sigma: what `draw` gave.
        """
        images = pixels.permute(0, 2, 3, 1)  # as they lie in memory
        for axis, weight in zip((2, 1), self.weights(sigma), strict=True):
            size, taps = images.shape[axis], weight.shape[1]
            place = reflected(torch.arange(-(taps // 2), size + taps // 2), size)
            wide = images.index_select(axis, sent(place, images.device))
            factors = sent(weight, images.device)[..., None, None, None]  # [B, taps, 1, 1, 1]
            images = wide.narrow(axis, 0, size) * factors[:, 0]
            for tap in range(1, taps):
                images = torch.addcmul(images, wide.narrow(axis, tap, size), factors[:, tap])
        return images.permute(0, 3, 1, 2)


def reflected(place: Tensor, size: int) -> Tensor:
    """Where positions outside 0..size-1 fall when the line is mirrored at its ends, which are not repeated."""
    period = max(2 * (size - 1), 1)
    folded = place.abs() % period
    return torch.minimum(folded, period - folded).clamp(max=size - 1)
