"""Colour jitter against colorsys and plain arithmetic, image by image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reid.data.colour import ColourJitter

GREY = torch.tensor([0.299, 0.587, 0.114])


def images(count: int = 6) -> Tensor:
    return torch.randint(40, 200, (count, 8, 4, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def draws(seed: int, count: int) -> Tensor:
    """The jitter's own random numbers [4, B]: brightness, contrast, saturation, hue."""
    return torch.rand(4, count, generator=torch.Generator().manual_seed(seed))


def jittered(seed: int = 0, **spans: float) -> Tensor:
    jitter = ColourJitter(**{"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, **spans})
    return jitter(images(), ColourJitter.draw(6, torch.Generator().manual_seed(seed)))


def test_without_any_span_the_pixels_stay() -> None:
    torch.testing.assert_close(jittered(), images().float(), atol=1e-3, rtol=0)


def test_brightness_multiplies_each_image_by_its_own_factor() -> None:
    factors = 0.8 + draws(0, 6)[0] * 0.4

    expected = images().float() * factors[:, None, None, None]

    torch.testing.assert_close(jittered(brightness=0.2), expected, atol=1e-2, rtol=0)
    assert len(set(factors.tolist())) == 6


def test_contrast_moves_pixels_away_from_the_mean_grey_of_their_image() -> None:
    factors = 0.8 + draws(0, 6)[1] * 0.4
    pixels = images().float()
    expected = torch.stack(
        [factor * image + (1 - factor) * (image @ GREY).mean() for factor, image in zip(factors, pixels, strict=True)]
    )

    torch.testing.assert_close(jittered(contrast=0.2), expected, atol=1e-2, rtol=0)


def test_saturation_blends_each_pixel_with_its_grey() -> None:
    factors = 0.7 + draws(0, 6)[2] * 0.6
    pixels = images().float()
    expected = torch.stack(
        [f * image + (1 - f) * (image @ GREY)[..., None] for f, image in zip(factors, pixels, strict=True)]
    ).clamp(0, 255)

    torch.testing.assert_close(jittered(saturation=0.3), expected, atol=1e-2, rtol=0)


def test_hue_changes_the_colours_and_keeps_the_grey_of_every_pixel() -> None:
    turned = jittered(hue=0.05)

    inside = ((turned > 1) & (turned < 254)).all(dim=-1)
    assert inside.float().mean() > 0.9
    torch.testing.assert_close((turned @ GREY)[inside], (images().float() @ GREY)[inside], atol=0.2, rtol=0)
    assert (turned - images().float()).abs().max() > 5


@pytest.mark.parametrize("span", ["brightness", "contrast", "saturation"])
def test_values_stay_within_a_byte(span: str) -> None:
    strong = jittered(**{span: 2.0})

    assert strong.min() >= 0
    assert strong.max() <= 255


def test_the_same_seed_gives_the_same_pictures() -> None:
    assert torch.equal(jittered(7, brightness=0.5, hue=0.1), jittered(7, brightness=0.5, hue=0.1))
    assert not torch.equal(jittered(7, brightness=0.5), jittered(8, brightness=0.5))
