"""Gaussian blur against torchvision's and against weights one can work out."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from reid.data.blur import GaussianBlur, reflected
from reid.data.resampling_kernels import blur as blur_by_loops
from reid.errors import DataError

BLUR = GaussianBlur((15, 15), (0.3, 0.7))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int, height: int, width: int) -> Tensor:
    """float [B, 3, H, W] in channels_last memory, 0 to 255."""
    return (torch.rand(batch, height, width, 3, generator=generator(9)) * 255).permute(0, 3, 1, 2)


def by_loops(pixels: Tensor, sigma: Tensor, blur: GaussianBlur = BLUR) -> Tensor:
    blurred = pixels.clone(memory_format=torch.preserve_format)
    blur_by_loops(blurred, *blur.weights(sigma))
    return blurred


def by_tensors(pixels: Tensor, sigma: Tensor, blur: GaussianBlur = BLUR) -> Tensor:
    return blur(pixels, sigma)


Apply = Callable[..., Tensor]


@pytest.mark.parametrize("apply", [by_loops, by_tensors])
@pytest.mark.parametrize("blur", [BLUR, GaussianBlur((3, 7), (0.5, 2.0)), GaussianBlur((9, 1), (1.0, 4.0))])
def test_the_blur_of_each_image_is_torchvisions(apply: Apply, blur: GaussianBlur) -> None:
    pixels, sigma = pictures(6, 17, 12), blur.draw(6, generator(1))

    result = apply(pixels, sigma, blur)

    assert result.is_contiguous(memory_format=torch.channels_last)
    for image, width, ours in zip(pixels, sigma.tolist(), result, strict=True):
        theirs = functional.gaussian_blur(image, list(blur.kernel), [width, width])
        torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0)  # of a grey level


@pytest.mark.parametrize("apply", [by_loops, by_tensors])
def test_one_bright_pixel_spreads_by_the_gauss_curve(apply: Apply) -> None:
    pixels = torch.zeros(1, 9, 9, 3).permute(0, 3, 1, 2)
    pixels[0, :, 4, 4] = 100

    result = apply(pixels, torch.tensor([0.5]))

    side = math.exp(-2) / (1 + 2 * math.exp(-2) + 2 * math.exp(-8))  # one pixel away is two standard deviations
    middle = 1 / (1 + 2 * math.exp(-2) + 2 * math.exp(-8))
    assert float(result[0, 1, 4, 4]) == pytest.approx(100 * middle**2, rel=1e-4)
    assert float(result[0, 1, 4, 5]) == pytest.approx(100 * middle * side, rel=1e-4)
    assert float(result[0, 1, 3, 5]) == pytest.approx(100 * side**2, rel=1e-4)


@pytest.mark.parametrize("apply", [by_loops, by_tensors])
@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_an_image_smaller_than_the_kernel_is_mirrored_as_often_as_needed(apply: Apply, size: tuple[int, int]) -> None:
    plain = torch.full((1, *size, 3), 70.0).permute(0, 3, 1, 2)

    torch.testing.assert_close(apply(plain, torch.tensor([0.7])), plain)


def test_the_ends_of_a_line_are_not_repeated() -> None:
    assert reflected(torch.arange(-3, 7), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]


def test_widths_are_drawn_from_the_whole_range() -> None:
    sigma = BLUR.draw(1000, generator(2))

    assert 0.3 <= float(sigma.min()) < 0.31
    assert 0.69 < float(sigma.max()) <= 0.7


@pytest.mark.parametrize(
    ("kernel", "sigma"), [((4, 3), (0.3, 0.7)), ((3, 0), (0.3, 0.7)), ((3, 3), (0.0, 0.7)), ((3, 3), (0.7, 0.3))]
)
def test_a_blur_that_makes_no_sense_is_refused(kernel: tuple[int, int], sigma: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="of the Gaussian blur is"):
        GaussianBlur(kernel, sigma)
