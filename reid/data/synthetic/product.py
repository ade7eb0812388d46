"""What a drawn product looks like, whatever the picture: package, colours, print and emblem."""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from reid.data.synthetic.appearance import Colour

VARIANTS = 2
"""Products of one range: the same package in the same colours, told apart by print and emblem alone."""


class Package(StrEnum):
    """The outline."""

    BOX = "box"
    BOTTLE = "bottle"
    CAN = "can"
    JAR = "jar"
    POUCH = "pouch"
    TUBE = "tube"


class Print(StrEnum):
    """What covers the package."""

    PLAIN = "plain"
    HOOPS = "hoops"
    STRIPES = "stripes"
    SLANTS = "slants"
    CHECKS = "checks"
    DOTS = "dots"
    HALVES = "halves"


class Emblem(StrEnum):
    """What stands on the label."""

    DISC = "disc"
    RING = "ring"
    STAR = "star"
    TRIANGLE = "triangle"
    CROSS = "cross"
    DIAMOND = "diamond"
    BARS = "bars"


@dataclass(frozen=True)
class Product:
    """One class of the data set.

    Attributes:
        package: outline.
        base: colour of the package.
        second: colour of the print.
        label: colour of the field that the emblem stands on.
        ink: colour of the emblem.
        cap: colour of lid or cap.
        cover: the print.
        emblem: the mark.
        label_top: where the label begins, fraction of the height.
    """

    package: Package
    base: Colour
    second: Colour
    label: Colour
    ink: Colour
    cap: Colour
    cover: Print
    emblem: Emblem
    label_top: float


def product_range(rng: np.random.Generator, package: Package) -> tuple[Product, ...]:
    """The `VARIANTS` products of one range, no two with the same print or the same emblem."""
    hue = float(rng.random())
    base = _colour(hue, rng.uniform(0.35, 0.9), rng.uniform(0.45, 0.95))
    second = _colour(hue + rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.9), rng.uniform(0.25, 0.95))
    pale = bool(rng.random() < 0.6)
    label = _colour(float(rng.random()), 0.12 if pale else 0.7, 0.93 if pale else 0.3)
    ink = _colour(float(rng.random()), 0.8, 0.4) if pale else _colour(float(rng.random()), 0.25, 0.95)
    cap = _colour(float(rng.random()), rng.uniform(0.0, 0.9), rng.uniform(0.2, 0.9))
    label_top = float(rng.uniform(0.36, 0.5))
    prints, emblems = rng.permutation(len(Print)), rng.permutation(len(Emblem))
    return tuple(
        Product(package, base, second, label, ink, cap, tuple(Print)[print_], tuple(Emblem)[emblem], label_top)
        for print_, emblem in itertools.islice(zip(prints, emblems, strict=True), VARIANTS)
    )


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return red, green, blue
