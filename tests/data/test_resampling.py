"""Random resized crops and rotations against torchvision's, image by image with the same draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from reid.data.resampling import ResizedCrop, rotate
from reid.data.resampling_kernels import resized_crop

HEIGHT, WIDTH = 20, 14  # of the results


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (batch, height, width, 3), generator=generator(9), dtype=torch.uint8)


def by_loops(images: Tensor, parts: Tensor) -> Tensor:
    return resized_crop(images, parts, HEIGHT, WIDTH)


def by_tensors(images: Tensor, parts: Tensor) -> Tensor:
    return ResizedCrop(HEIGHT, WIDTH)(images, parts)


@pytest.mark.parametrize("cut", [by_loops, by_tensors])
@pytest.mark.parametrize(("height", "width"), [(23, 16), (61, 50), (8, 30)])  # slightly, much, and partly larger
def test_a_resized_crop_is_torchvisions(cut: Callable[[Tensor, Tensor], Tensor], height: int, width: int) -> None:
    images = pictures(24, height, width)
    parts = ResizedCrop(HEIGHT, WIDTH).draw(24, height, width, generator(1))

    result = cut(images, parts)

    assert result.shape == (24, HEIGHT, WIDTH, 3)
    for image, part, ours in zip(images, parts.tolist(), result, strict=True):
        theirs = functional.resized_crop(image.permute(2, 0, 1), *part, [HEIGHT, WIDTH], antialias=True)
        assert (ours.int() - theirs.permute(1, 2, 0).int()).abs().max() <= 1


@pytest.mark.parametrize("cut", [by_loops, by_tensors])
def test_the_whole_of_an_image_that_has_the_size_stays_as_it_is(cut: Callable[[Tensor, Tensor], Tensor]) -> None:
    images = pictures(3, HEIGHT, WIDTH)

    assert torch.equal(cut(images, torch.tensor([[0, 0, HEIGHT, WIDTH]] * 3)), images)


@pytest.mark.parametrize("cut", [by_loops, by_tensors])
def test_half_the_size_by_hand(cut: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Pixel centres of the halves lie between two pixels: the nearest two weigh 3/8 each, the next ones 1/8 each."""
    line = torch.tensor([0, 80, 160, 240, 0, 0] + [0] * (2 * WIDTH - 6), dtype=torch.uint8)
    image = line[None, None, :, None].expand(1, 2 * HEIGHT, -1, 3).contiguous()

    result = cut(image, torch.tensor([[0, 0, 2 * HEIGHT, 2 * WIDTH]]))

    # First: 0 and 80 by 3, 160 by 1, of 7. Second: 80 by 1, 160 and 240 by 3, 0 by 1, of 8. Third: 240 by 1, of 8.
    assert result[0, 5, :4, 0].tolist() == [57, 160, 30, 0]


def test_parts_have_the_area_and_the_aspect_that_were_asked_for() -> None:
    height, width = 200, 100

    parts = ResizedCrop(64, 32).draw(2000, height, width, generator(2))

    top, left, h, w = parts.double().unbind(1)
    assert ((top >= 0) & (left >= 0) & (top + h <= height) & (left + w <= width)).all()
    share = h * w / (height * width)
    # Sides are whole pixels; a part of more than two thirds of such a tall image would be wider than the image.
    assert (share > 0.078).all()
    assert (share < 0.67).all()
    assert (((w - 0.5) / (h + 0.5) < 4 / 3) & ((w + 0.5) / (h - 0.5) > 3 / 4)).all()
    assert len({tuple(part) for part in parts.tolist()}) > 1900


def test_on_a_square_image_areas_are_uniform_and_aspects_log_uniform() -> None:
    _, _, h, w = ResizedCrop(64, 64, scale=(0.1, 0.5)).draw(4000, 400, 400, generator(3)).double().unbind(1)

    assert float((h * w / 400**2).mean()) == pytest.approx(0.3, abs=0.01)  # 5 standard errors
    assert float((w / h).log().mean()) == pytest.approx(0, abs=0.015)
    assert float((w / h).log().std()) == pytest.approx(2 * math.log(4 / 3) / math.sqrt(12), rel=0.05)


@pytest.mark.parametrize(("height", "width", "middle"), [(90, 30, [25, 0, 40, 30]), (30, 90, [0, 25, 30, 40])])
def test_where_no_part_fits_it_is_the_largest_in_the_middle(height: int, width: int, middle: list[int]) -> None:
    whole = ResizedCrop(8, 8, scale=(1.0, 1.0))

    assert whole.draw(5, height, width, generator()).tolist() == [middle] * 5


def test_a_rotation_is_torchvisions() -> None:
    images, degrees = pictures(12, 21, 16), torch.rand(12, generator=generator(4)) * 180

    result = rotate(images, degrees)

    for image, angle, ours in zip(images, degrees.tolist(), result, strict=True):
        theirs = functional.rotate(image.permute(2, 0, 1), angle, interpolation=InterpolationMode.BILINEAR)
        assert (ours.int() - theirs.permute(1, 2, 0).int()).abs().max() <= 1


def test_a_quarter_turn_is_counter_clockwise_and_corners_become_black() -> None:
    image = pictures(1, 9, 9).clamp(min=1)

    assert torch.equal(rotate(image, torch.tensor([90.0]))[0], image[0].rot90(1, (0, 1)))
    turned = rotate(image, torch.tensor([45.0]))[0]
    assert not turned[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert turned[4, 4].all()
