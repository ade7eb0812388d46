"""Batched augmentation against one image at a time, with plain loops and the same draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from reid.data import augment, pixel_kernels
from reid.data.augment import Augmentation, to_network_input
from reid.data.blur import GaussianBlur
from reid.data.colour import ColourJitter
from reid.data.draws import Crops, draw_crops, draw_erasures
from reid.data.resampling import ResizedCrop

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
JITTER = ColourJitter(0.5, 0.3, 0.1, 0.1)
Mode = Literal["mean", "pixel"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int = 6, height: int = 12, width: int = 8) -> Tensor:
    return torch.randint(1, 256, (batch, height, width, 3), generator=generator(99), dtype=torch.uint8)


def augmentation(**changes: object) -> Augmentation:
    settings = {"flip_prob": 0.5, "padding": 3, "erase_prob": 0.5, "erase_mode": "mean", "mean": MEAN, "std": STD}
    return Augmentation(**{**settings, **changes})  # type: ignore[arg-type]


def erased(
    count: int, height: int, width: int, *, prob: float, mode: Mode, fill: tuple[float, float, float], seed: int = 0
) -> Tensor:
    """Black images [B, 3, H, W], erased; black is -1 here, which no filling is."""
    draws = draw_erasures(count, height, width, prob=prob, mode=mode, generator=generator(seed))
    black = torch.zeros(count, height, width, 3, dtype=torch.uint8)
    pixels = pixel_kernels.to_network_input(black, [1.0] * 3, [-1.0] * 3)
    pixel_kernels.erase(pixels, draws, fill)
    return pixels


@pytest.mark.parametrize("crop", [augment.crop, pixel_kernels.crop])
def test_flip_pad_and_crop_equal_a_loop_over_pixels(crop: Callable[[Tensor, Crops], Tensor]) -> None:
    images, padding = pictures(), 3
    batch, height, width, _ = images.shape
    draws = generator(5)
    flip = torch.rand(batch, generator=draws) < 0.5
    top, left = torch.randint(-padding, padding + 1, (2, batch), generator=draws)

    result = crop(images, draw_crops(batch, flip_prob=0.5, padding=padding, generator=generator(5)))

    assert 0 < int(flip.sum()) < batch
    for b in range(batch):
        image = images[b].flip(1) if flip[b] else images[b]
        padded = torch.zeros(height + 2 * padding, width + 2 * padding, 3, dtype=torch.uint8)
        padded[padding : padding + height, padding : padding + width] = image
        y, x = int(top[b]) + padding, int(left[b]) + padding
        assert torch.equal(result[b], padded[y : y + height, x : x + width])


@pytest.mark.parametrize("crop", [augment.crop, pixel_kernels.crop])
def test_without_padding_and_flips_images_stay_as_they_are(crop: Callable[[Tensor, Crops], Tensor]) -> None:
    images = pictures()
    never, always = (draw_crops(6, flip_prob=prob, padding=0, generator=generator()) for prob in (0.0, 1.0))

    assert torch.equal(crop(images, never), images)
    assert torch.equal(crop(images, always), images.flip(2))


@pytest.mark.parametrize("crop", [augment.crop, pixel_kernels.crop])
def test_a_crop_beside_the_image_is_black(crop: Callable[[Tensor, Crops], Tensor]) -> None:
    beside = Crops(torch.tensor([False, True, False, True]), torch.tensor([12, 0, 0, -12]), torch.tensor([0, 8, -9, 9]))

    assert not crop(pictures(4), beside).any()


def test_half_of_the_images_are_mirrored_at_probability_one_half() -> None:
    flip = draw_crops(2000, flip_prob=0.5, padding=0, generator=generator()).flip

    assert 900 < int(flip.sum()) < 1100  # 4.5 standard deviations


def test_normalisation_is_the_value_over_255_minus_mean_over_std() -> None:
    image = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)

    result = to_network_input(image, mean=MEAN, std=STD)

    expected = [(value / 255 - m) / s for value, m, s in zip((0, 128, 255), MEAN, STD, strict=True)]
    assert result.shape == (1, 3, 1, 1)
    assert result.flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mode", ["mean", "pixel"])
def test_what_is_erased_is_one_rectangle_of_allowed_area_and_aspect(mode: Mode) -> None:
    height, width = 64, 32

    result = erased(300, height, width, prob=1.0, mode=mode, fill=MEAN, seed=1)

    largest = 0.4 if mode == "mean" else 1 / 3
    for image in result:
        changed = (image != -1.0).all(dim=0)
        rows, columns = changed.any(dim=1).nonzero().flatten(), changed.any(dim=0).nonzero().flatten()
        h, w = len(rows), len(columns)
        assert changed.sum() == h * w  # filled
        assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (h, w)  # in one piece
        # h and w were rounded: half a pixel each way
        assert (h - 0.5) * (w - 0.5) <= largest * height * width
        assert (h + 0.5) * (w + 0.5) >= 0.02 * height * width
        assert (h + 0.5) / (w - 0.5) >= 0.3
        assert (h - 0.5) / (w + 0.5) <= 1 / 0.3


def test_the_erased_rectangle_equals_a_loop_with_the_same_draws() -> None:
    height, width, batch = 40, 20, 30
    draws = generator(2)
    chosen = torch.rand(batch, generator=draws) < 0.5
    u = torch.rand(4, batch, 20, generator=draws).tolist()

    result = erased(batch, height, width, prob=0.5, mode="mean", fill=(1.0, 2.0, 3.0), seed=2)

    for b in range(batch):
        expected = torch.full((3, height, width), -1.0)
        for i in range(20):
            area = (0.02 + u[0][b][i] * 0.38) * height * width
            aspect = 0.3 + u[1][b][i] * (1 / 0.3 - 0.3)
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < h < height and 0 < w < width:
                top, left = int(u[2][b][i] * (height - h + 1)), int(u[3][b][i] * (width - w + 1))
                if chosen[b]:
                    expected[:, top : top + h, left : left + w] = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
                break
        assert torch.equal(result[b], expected), b


def test_mode_pixel_fills_with_standard_normal_noise() -> None:
    noise = erased(400, 32, 16, prob=1.0, mode="pixel", fill=MEAN)
    noise = noise[noise != -1.0]

    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02


def test_no_image_is_erased_at_probability_0() -> None:
    assert (erased(4, 16, 8, prob=0.0, mode="mean", fill=MEAN) == -1.0).all()


@pytest.mark.parametrize("mode", ["mean", "pixel"])
@pytest.mark.parametrize("colour", [None, ColourJitter(0.4, 0.3, 0.2, 0.1)])
def test_compiled_loops_and_tensor_operations_make_the_same_pictures(mode: Mode, colour: ColourJitter | None) -> None:
    images, recipe = pictures(16, 24, 16), augmentation(erase_mode=mode, colour=colour)
    draws = recipe.draw(16, 24, 16, generator(3))

    expected = recipe.by_tensors(images, draws)

    torch.testing.assert_close(recipe.apply(images, draws), expected, atol=2e-5, rtol=0)


def drawn(numbers: Tensor | None) -> Tensor:
    assert numbers is not None
    return numbers


def everything() -> Augmentation:
    """All that class data are changed by; results of 24 x 16 pixels."""
    return augmentation(
        padding=0, colour=JITTER, resized_crop=ResizedCrop(24, 16), rotation=180.0,
        blur=GaussianBlur(),
    )  # fmt: skip


@pytest.mark.parametrize("rotation", [0.0, 180.0])
def test_with_crops_rotation_and_blur_both_ways_differ_by_a_grey_level_at_most(rotation: float) -> None:
    images, recipe = pictures(16, 27, 18), replace(everything(), rotation=rotation, colour=None)
    draws = recipe.draw(16, 27, 18, generator(3))

    by_loops, by_tensors = recipe.apply(images, draws), recipe.by_tensors(images, draws)

    assert by_loops.shape == (16, 3, 24, 16)
    assert by_tensors.is_contiguous(memory_format=torch.channels_last)
    grey_level = 1 / 255 / min(STD)
    assert (by_loops - by_tensors).abs().max() < 1.001 * grey_level
    assert (by_loops - by_tensors).abs().mean() < 0.01 * grey_level


def test_the_order_is_crop_flip_rotation_jitter_blur_erasing() -> None:
    images, recipe = pictures(1, 27, 18), replace(everything(), flip_prob=1.0, erase_prob=1.0)
    draws = recipe.draw(1, 27, 18, generator(8))
    part, colour = drawn(draws.parts)[0].tolist(), drawn(draws.colour)
    degrees, sigma = drawn(draws.degrees).item(), drawn(draws.sigma).item()

    picture = functional.resized_crop(images[0].permute(2, 0, 1), *part, [24, 16], antialias=True)
    picture = functional.horizontal_flip(picture)
    picture = functional.rotate(picture, degrees, interpolation=InterpolationMode.BILINEAR)
    jittered = JITTER(picture.permute(1, 2, 0)[None], colour)[0].permute(2, 0, 1)
    blurred = functional.gaussian_blur(jittered, [15, 15], [sigma, sigma])
    expected = functional.normalize(blurred / 255, list(MEAN), list(STD))
    top, left, height, width = draws.erasures.box[0].tolist()
    expected[:, top : top + height, left : left + width] = torch.tensor(MEAN)[:, None, None]

    torch.testing.assert_close(recipe.apply(images, draws)[0], expected, atol=2 / 255 / min(STD), rtol=0)


def test_what_is_switched_off_leaves_the_other_draws_as_they_were() -> None:
    plain = augmentation(colour=ColourJitter(0.4, 0.3, 0.2, 0.1))
    more = replace(plain, resized_crop=ResizedCrop(12, 8), rotation=90.0, blur=GaussianBlur())

    before, after = plain.draw(6, 12, 8, generator(1)), more.draw(6, 12, 8, generator(1))

    assert torch.equal(before.crops.flip, after.crops.flip)
    assert torch.equal(drawn(before.colour), drawn(after.colour))
    assert torch.equal(before.erasures.box, after.erasures.box)


@pytest.mark.parametrize("mode", ["mean", "pixel"])
def test_tensor_operations_leave_channels_innermost_as_the_compiled_loops_do(mode: Mode) -> None:
    draws = draw_erasures(6, 12, 8, prob=1.0, mode=mode, generator=generator())
    pixels = to_network_input(pictures(), mean=MEAN, std=STD)

    assert augment.erase(pixels, draws, MEAN).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", ["mean", "pixel"])
def test_parts_of_a_batch_get_the_draws_of_the_whole(mode: Mode) -> None:
    images, recipe = pictures(9, 27, 18), replace(everything(), erase_mode=mode)

    whole = recipe(images, generator(6))
    parts = [recipe(images[first : first + 3], generator(6), whole=9, first=first) for first in (0, 3, 6)]

    assert torch.equal(torch.cat(parts), whole)


def test_a_seed_fixes_the_whole_augmentation_and_another_changes_it() -> None:
    images = pictures()

    first, again = (augmentation()(images, generator(4)) for _ in range(2))

    assert torch.equal(first, again)
    assert not torch.equal(first, augmentation()(images, generator(5)))


def test_the_draw_does_not_depend_on_how_the_batch_lies_in_memory() -> None:
    images = pictures()
    scattered = images.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0)
    assert not scattered.is_contiguous()

    assert torch.equal(augmentation()(images, generator()), augmentation()(scattered, generator()))


def test_the_result_is_float32_in_channels_last_memory() -> None:
    result = augmentation()(pictures(), generator())

    assert result.dtype == torch.float32
    assert result.shape == (6, 3, 12, 8)
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_seed_gives_the_same_pictures_on_a_gpu() -> None:
    images = pictures()

    on_gpu = augmentation(erase_mode="pixel")(images.cuda(), generator())

    assert torch.allclose(on_gpu.cpu(), augmentation(erase_mode="pixel")(images, generator()), atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_crops_turns_and_blurs_as_the_cpu_does() -> None:
    images, recipe = pictures(16, 27, 18), replace(everything(), colour=None)

    on_gpu, on_cpu = recipe(images.cuda(), generator()).cpu(), recipe(images, generator())

    assert (on_gpu - on_cpu).abs().max() < 1.001 / 255 / min(STD)
