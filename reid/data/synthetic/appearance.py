"""What a drawn person looks like, whatever the camera: build, hair, garments, things carried."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

T = TypeVar("T")

Colour = tuple[int, int, int]
"""sRGB, 0 to 255."""

LOOKALIKES = 4
"""Identities that share one palette, so that colours alone cannot tell them apart."""


class Hair(StrEnum):
    """How the hair falls."""

    BALD = "bald"
    SHORT = "short"
    CURLY = "curly"
    BOB = "bob"
    LONG = "long"
    TAIL = "tail"


class Upper(StrEnum):
    """The garment above the hip."""

    TEE = "tee"
    VEST = "vest"
    SWEATER = "sweater"
    JACKET = "jacket"  # open: a shirt of the second colour shows in front
    HOODIE = "hoodie"
    COAT = "coat"  # down to the thigh


class Lower(StrEnum):
    """The garment below the hip."""

    TROUSERS = "trousers"
    WIDE = "wide"
    SHORTS = "shorts"
    SKIRT = "skirt"
    LONG_SKIRT = "long_skirt"


class Pattern(StrEnum):
    """What is printed on the upper garment."""

    PLAIN = "plain"
    HOOPS = "hoops"
    STRIPES = "stripes"
    CHECKS = "checks"
    LOGO = "logo"
    BLOCK = "block"
    GRADIENT = "gradient"


class Bag(StrEnum):
    """What is carried."""

    NONE = "none"
    BACKPACK = "backpack"
    SHOULDER = "shoulder"
    HAND = "hand"


class Hat(StrEnum):
    """What is worn on the head."""

    NONE = "none"
    CAP = "cap"
    BEANIE = "beanie"


@dataclass(frozen=True)
class Appearance:
    """One identity.

    Attributes:
        stature: body height as a fraction of the mean.
        build: thickness of trunk and limbs; 1 is the mean.
        shoulders: shoulder width; 1 is the mean.
        second: colour of pattern, of the shirt under a jacket, of a hood's inside.
    """

    stature: float
    build: float
    shoulders: float
    skin: Colour
    hair: Hair
    hair_colour: Colour
    upper: Upper
    upper_colour: Colour
    second: Colour
    pattern: Pattern
    lower: Lower
    lower_colour: Colour
    shoes: Colour
    bag: Bag
    bag_colour: Colour
    hat: Hat
    hat_colour: Colour


def lookalikes(rng: np.random.Generator) -> tuple[Appearance, ...]:
    """`LOOKALIKES` people dressed from one palette: three garment colours in different places, different cuts.

    No two of them share the colour of both upper and lower garment, the upper garment with its pattern, or the bag.
    """
    palette = [GARMENTS[i] for i in rng.choice(len(GARMENTS), size=3, replace=False)]
    orders = _shuffled(rng, list(itertools.permutations(palette)))
    patterns = _shuffled(rng, list(Pattern))
    uppers = _shuffled(rng, list(Upper))
    lowers = _shuffled(rng, list(Lower))
    bags = _shuffled(rng, list(Bag))
    hats = _shuffled(rng, [Hat.NONE, Hat.NONE, Hat.NONE, Hat.NONE, Hat.CAP, Hat.BEANIE])
    hairs = _shuffled(rng, list(Hair))
    people = []
    for i in range(LOOKALIKES):
        upper_colour, lower_colour, second = (_varied(rng, colour, 10) for colour in orders[i])
        people.append(
            Appearance(
                stature=float(rng.uniform(0.92, 1.08)),
                build=float(rng.uniform(0.82, 1.28)),
                shoulders=float(rng.uniform(0.9, 1.12)),
                skin=_varied(rng, SKINS[rng.integers(len(SKINS))], 6),
                hair=hairs[i],
                hair_colour=_varied(rng, HAIRS[rng.integers(len(HAIRS))], 6),
                upper=uppers[i],
                upper_colour=upper_colour,
                second=second,
                pattern=Pattern.PLAIN if uppers[i] is Upper.JACKET else patterns[i],
                lower=lowers[i],
                lower_colour=lower_colour,
                shoes=SHOES[rng.integers(len(SHOES))],
                bag=bags[i],
                bag_colour=_varied(rng, BAGS[rng.integers(len(BAGS))], 8),
                hat=hats[i],
                hat_colour=_varied(rng, GARMENTS[rng.integers(len(GARMENTS))], 8),
            )
        )
    return tuple(people)


GARMENTS: tuple[Colour, ...] = (
    (28, 28, 32),
    (232, 230, 224),
    (128, 130, 134),
    (34, 46, 92),
    (66, 108, 172),
    (176, 36, 40),
    (110, 24, 44),
    (40, 92, 58),
    (104, 110, 58),
    (224, 178, 44),
    (222, 112, 36),
    (226, 142, 168),
    (112, 68, 140),
    (40, 142, 148),
    (116, 80, 52),
    (200, 180, 146),
)
SKINS: tuple[Colour, ...] = (
    (228, 188, 160),
    (214, 168, 136),
    (198, 148, 112),
    (160, 112, 80),
    (116, 78, 56),
    (80, 54, 42),
)
HAIRS: tuple[Colour, ...] = ((24, 20, 20), (58, 38, 26), (104, 70, 42), (190, 152, 92), (140, 66, 34), (150, 148, 146))
SHOES: tuple[Colour, ...] = ((30, 28, 28), (236, 236, 232), (92, 60, 38), (160, 40, 44), (60, 80, 130))
BAGS: tuple[Colour, ...] = ((32, 32, 36), (110, 70, 40), (170, 44, 44), (52, 86, 140), (70, 110, 70), (210, 180, 90))


def _varied(rng: np.random.Generator, colour: Colour, spread: int) -> Colour:
    red, green, blue = (int(v) for v in np.clip(np.add(colour, rng.integers(-spread, spread + 1, size=3)), 8, 247))
    return red, green, blue


def _shuffled(rng: np.random.Generator, values: list[T]) -> list[T]:
    return [values[i] for i in rng.permutation(len(values))]
