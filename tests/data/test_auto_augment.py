"""AutoAugment: the policy and every operation against torchvision's, image by image, and against values set by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import AutoAugmentPolicy
from torchvision.transforms.v2 import AutoAugment as Reference
from torchvision.transforms.v2 import functional

from reid.data.augment import Augmentation
from reid.data.auto_augment import NAMES, POLICY, AutoAugment, Operations
from reid.data.image_operations import apply

TORCHVISION = {
    "auto_contrast": "AutoContrast", "color": "Color", "contrast": "Contrast", "equalize": "Equalize",
    "invert": "Invert", "posterize": "Posterize", "rotate": "Rotate", "sharpness": "Sharpness", "shear_x": "ShearX",
    "solarize": "Solarize",
}  # fmt: skip
RANGELESS = {"auto_contrast", "equalize", "invert"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int = 12, height: int = 24, width: int = 14) -> Tensor:
    """Smooth, so that neighbouring values differ little, each within a range of its own."""
    coarse = torch.rand(batch, 3, 4, 3, generator=generator(9))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    span = torch.rand(batch, 1, 1, 1, generator=generator(8)) * 120 + 80
    return (smooth * span + 20).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def one(name: str, images: Tensor, strength: float) -> Tensor:
    return apply(name, images, torch.full((len(images),), strength))


def grey(values: list[list[int]]) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8)[None, :, :, None].expand(1, -1, -1, 3).contiguous()


def test_the_policy_is_torchvisions() -> None:
    theirs = Reference(AutoAugmentPolicy.IMAGENET)._get_policies(AutoAugmentPolicy.IMAGENET)
    ours = [
        tuple((TORCHVISION[name], prob, None if name in RANGELESS else magnitude) for name, prob, magnitude in pair)
        for pair in POLICY
    ]

    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "strengths", "reference"),
    [
        ("posterize", [4.0, 5.0, 6.0], lambda image, bits: functional.posterize(image, int(bits))),
        ("solarize", [28.3, 56.7, 113.3], functional.solarize),
        ("invert", [0.0], lambda image, _: functional.invert(image)),
        ("equalize", [0.0], lambda image, _: functional.equalize(image)),
        ("auto_contrast", [0.0], lambda image, _: functional.autocontrast(image)),
        ("color", [-0.8, 0.0, 0.4], lambda image, strength: functional.adjust_saturation(image, 1 + strength)),
        ("contrast", [-0.8, 0.8], lambda image, strength: functional.adjust_contrast(image, 1 + strength)),
        ("sharpness", [-0.7, 0.7], lambda image, strength: functional.adjust_sharpness(image, 1 + strength)),
    ],
)
def test_an_operation_on_colours_equals_torchvisions_on_each_image(
    name: str, strengths: list[float], reference: Callable[[Tensor, float], Tensor]
) -> None:
    images = pictures()
    each = [strengths[i % len(strengths)] for i in range(len(images))]

    result = apply(name, images, torch.tensor(each))

    assert result.dtype == torch.uint8
    for image, strength, changed in zip(images, each, result, strict=True):
        expected = reference(image.permute(2, 0, 1), strength).permute(1, 2, 0)
        away = (changed.int() - expected.int()).abs()
        # torchvision cuts 99.99999 down to 99, where the exact product is 100.
        assert int(away.max()) <= (1 if name in ("color", "contrast", "sharpness") else 0)
        assert float(away.float().mean()) < 0.15


@pytest.mark.parametrize(("name", "strengths"), [("rotate", [-30.0, 10.0, 26.7]), ("shear_x", [-0.3, 0.1667])])
def test_a_movement_equals_torchvisions_on_each_image_but_for_pixels_midway(name: str, strengths: list[float]) -> None:
    images = pictures()
    each = [strengths[i % len(strengths)] for i in range(len(images))]

    result = apply(name, images, torch.tensor(each))

    for image, strength, changed in zip(images, each, result, strict=True):
        picture = image.permute(2, 0, 1)
        if name == "rotate":
            expected = functional.rotate(picture, strength)
        else:
            shear = [math.degrees(math.atan(strength)), 0.0]
            expected = functional.affine(picture, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, center=[0, 0])
        other = (changed != expected.permute(1, 2, 0)).any(dim=2)
        assert float(other.float().mean()) < 0.01


def test_four_bits_of_183_are_176() -> None:
    assert one("posterize", grey([[0b10110111]]), 4.0)[0, 0, 0].tolist() == [0b10110000] * 3
    assert one("posterize", grey([[183, 255, 0]]), 8.0)[0, 0, :, 0].tolist() == [183, 255, 0]


def test_solarize_inverts_from_the_threshold_on() -> None:
    assert one("solarize", grey([[99, 100, 255]]), 100.0)[0, 0, :, 0].tolist() == [99, 155, 0]


def test_a_quarter_turn_is_counter_clockwise() -> None:
    turned = one("rotate", grey([[1, 2], [3, 4]]), 90.0)

    assert turned[0, :, :, 0].tolist() == [[2, 4], [1, 3]]


def test_a_shear_of_one_moves_each_row_a_column_further_left_than_the_one_above() -> None:
    # Sources lie half a row below a row's upper edge: 0.5 is added to x in row 0, and 0.6 rounds to the next column.
    sheared = one("shear_x", grey([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), 1.2)

    assert sheared[0, :, :, 0].tolist() == [[2, 3, 0], [6, 0, 0], [0, 0, 0]]


def test_contrast_zero_is_the_mean_grey_and_factor_two_leads_away_from_it() -> None:
    image = grey([[100, 120], [100, 120]])

    assert one("contrast", image, -1.0)[0, :, :, 0].tolist() == [[109, 109], [109, 109]]  # 99, 119: luma is cut down
    assert one("contrast", image, 1.0)[0, :, :, 0].tolist() == [[91, 131], [91, 131]]


def test_colour_factor_one_fifth_leaves_a_fifth_of_the_distance_to_grey() -> None:
    image = torch.tensor([[[[100, 200, 50]]]], dtype=torch.uint8)  # luma 29.89 + 117.4 + 5.7 = 152.99, cut to 152

    assert one("color", image, -0.8).flatten().tolist() == [141, 161, 131]  # 141.6, 161.6, 131.6
    assert one("color", image, 0.0).flatten().tolist() == [100, 200, 50]


def test_sharpness_zero_is_the_mean_of_a_pixel_five_times_and_its_neighbours_once() -> None:
    image = grey([[0, 0, 0], [0, 130, 0], [0, 0, 0]])

    assert one("sharpness", image, -1.0)[0, :, :, 0].tolist() == [[0, 0, 0], [0, 50, 0], [0, 0, 0]]
    assert one("sharpness", image, 1.0)[0, 1, 1, 0] == 210


def drawn(prob: float, batch: int = 4000, seed: int = 1) -> Operations:
    return AutoAugment(prob).draw(batch, generator(seed))


def test_the_share_of_images_with_an_operation_follows_from_the_probabilities() -> None:
    some = (drawn(0.5).kind >= 0).any(dim=1).float().mean()

    expected = 0.5 * sum(1 - (1 - first.prob) * (1 - second.prob) for first, second in POLICY) / 25
    assert abs(float(some) - expected) < 0.03  # 3.9 standard deviations


def test_at_probability_0_nothing_happens_and_at_1_every_sub_policy_is_drawn() -> None:
    images = pictures()

    assert (drawn(0.0).kind == -1).all()
    assert AutoAugment(0.0)(images, drawn(0.0, len(images))) is images
    certain = {NAMES.index("equalize"), NAMES.index("contrast"), NAMES.index("color")}  # second halves of probability 1
    assert certain <= set(drawn(1.0).kind[:, 1].tolist())
    assert set(drawn(1.0).kind.flatten().tolist()) == {-1, *range(len(NAMES))}


def test_strengths_are_those_of_the_magnitudes_with_both_signs_where_there_are_two() -> None:
    found = drawn(1.0)
    strengths = {
        name: sorted({round(value, 4) for value in found.strength[found.kind == number].tolist()})
        for number, name in enumerate(NAMES)
    }

    assert strengths == {
        "auto_contrast": [0], "equalize": [0], "invert": [0],
        "color": [-0.8, -0.4, -0.2, 0, 0.2, 0.4, 0.8],  # magnitudes 0, 2, 4 and 8 of 9, up to 0.9
        "contrast": [-0.8, 0.8],
        "posterize": [4, 5, 6],  # bits; magnitudes 8; 7 and 6; 5
        "rotate": [-30, -26.6667, -10, 10, 26.6667, 30],  # degrees; magnitudes 9, 8 and 3
        "sharpness": [-0.7, 0.7],
        "shear_x": [-0.1667, 0.1667],
        "solarize": [28.3333, 56.6667, 113.3333, 141.6667, 170],  # magnitudes 8, 7, 5, 4 and 3
    }  # fmt: skip


def test_a_batch_equals_its_images_one_by_one_with_the_same_draws() -> None:
    images, operations = pictures(60), drawn(1.0, 60)
    auto = AutoAugment(1.0)

    result = auto(images, operations)

    assert result.shape == images.shape
    assert result.dtype == torch.uint8
    for i in range(60):
        assert torch.equal(result[i : i + 1], auto(images[i : i + 1], operations.rows(slice(i, i + 1)))), i
    untouched = (operations.kind == -1).all(dim=1)
    assert 0 < int(untouched.sum()) < 60
    assert torch.equal(result[untouched], images[untouched])
    assert torch.equal(images, pictures(60))  # what went in is as it was


def test_the_two_halves_of_a_sub_policy_are_applied_in_their_order() -> None:
    image = grey([[100, 200]])
    invert, solarize = NAMES.index("invert"), NAMES.index("solarize")

    def done(first: int, second: int) -> list[int]:
        operations = Operations(torch.tensor([[first, second]]), torch.tensor([[120.0, 120.0]]))
        values: list[int] = AutoAugment(1.0)(image, operations)[0, 0, :, 0].tolist()
        return values

    assert done(invert, solarize) == [100, 55]  # 155 and 55, then 155 is inverted back
    assert done(solarize, invert) == [155, 200]  # 100 and 55, then both are inverted


def test_auto_augment_leaves_the_other_draws_of_an_augmentation_as_they_are() -> None:
    plain = Augmentation(0.5, 3, 0.5, "mean", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    images = pictures()

    never = Augmentation(0.5, 3, 0.5, "mean", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), auto_augment=AutoAugment(0.0))
    always = Augmentation(0.5, 3, 0.5, "mean", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), auto_augment=AutoAugment(1.0))

    assert torch.equal(never(images, generator()), plain(images, generator()))
    changed = always(images, generator())
    assert not torch.equal(changed, plain(images, generator()))
    operations = always.draw(len(images), 24, 14, generator()).auto
    assert operations is not None
    assert torch.equal(changed, plain(AutoAugment(1.0)(images, operations), generator()))
    part = always(images[4:8], generator(), whole=12, first=4)
    assert torch.equal(part, changed[4:8])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_pictures_are_the_same_on_a_gpu_but_for_rounding() -> None:
    images, operations = pictures(60), drawn(1.0, 60)

    away = AutoAugment(1.0)(images.cuda(), operations).cpu().int() - AutoAugment(1.0)(images, operations).int()

    assert float((away.abs() > 1).float().mean()) < 0.01
