"""Draws the front of a product: outline, print, label and emblem, as flat artwork with a transparent surround."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from reid.data.synthetic.appearance import Colour
from reid.data.synthetic.product import Emblem, Package, Print, Product

WIDTH, HEIGHT = 168, 224
"""Pixels of the artwork; pictures show it smaller."""

_ROUND = {Package.BOTTLE, Package.CAN, Package.JAR, Package.TUBE}
"""Packages that are darker towards their sides."""

_OUTLINES: dict[Package, tuple[tuple[float, float, float], ...]] = {
    # Top, bottom and half width of each part, as fractions of height, height and width, from the top down.
    Package.BOX: ((0.04, 0.98, 0.42),),
    Package.BOTTLE: ((0.10, 0.34, 0.15), (0.30, 0.98, 0.34)),
    Package.CAN: ((0.14, 0.18, 0.30), (0.17, 0.95, 0.34), (0.94, 0.98, 0.30)),
    Package.JAR: ((0.24, 0.98, 0.43),),
    Package.POUCH: ((0.06, 0.98, 0.40),),
    Package.TUBE: ((0.02, 0.88, 0.24),),
}
_CAPS: dict[Package, tuple[float, float, float]] = {
    Package.BOTTLE: (0.02, 0.11, 0.13),
    Package.CAN: (0.12, 0.145, 0.27),
    Package.JAR: (0.13, 0.25, 0.40),
    Package.POUCH: (0.03, 0.075, 0.40),
    Package.TUBE: (0.88, 0.99, 0.20),
}


def artwork(product: Product) -> Image.Image:
    """RGBA picture of the front, upright and evenly lit."""
    shape = Image.new("L", (WIDTH, HEIGHT))
    body = ImageDraw.Draw(shape)
    for part in _OUTLINES[product.package]:
        body.rounded_rectangle(_box(*part), radius=4 if product.package is Package.BOX else 14, fill=255)
    paper = Image.new("RGB", (WIDTH, HEIGHT), product.base)
    _print(ImageDraw.Draw(paper), product)
    _label(ImageDraw.Draw(paper), product)
    if product.package in _ROUND:
        paper = _rounded(paper)
    front = Image.new("RGBA", (WIDTH, HEIGHT))
    front.paste(paper, mask=shape)
    if product.package in _CAPS:
        box = _box(*_CAPS[product.package])
        ImageDraw.Draw(front).rounded_rectangle(box, radius=4, fill=product.cap)
    return front


def _box(top: float, bottom: float, half: float) -> tuple[float, float, float, float]:
    return (0.5 - half) * WIDTH, top * HEIGHT, (0.5 + half) * WIDTH, bottom * HEIGHT


def _rounded(paper: Image.Image) -> Image.Image:
    """Darker towards the sides, as a cylinder is."""
    across = np.linspace(-1, 1, WIDTH)[None, :, None]
    pixels = np.asarray(paper, np.float32) * (1 - 0.45 * np.abs(across) ** 2.5)
    return Image.fromarray(pixels.astype(np.uint8))


def _print(draw: ImageDraw.ImageDraw, product: Product) -> None:
    colour, step = product.second, 22
    if product.cover is Print.HOOPS:
        for y in range(0, HEIGHT, 2 * step):
            draw.rectangle((0, y, WIDTH, y + step), fill=colour)
    elif product.cover is Print.STRIPES:
        for x in range(0, WIDTH, 2 * step):
            draw.rectangle((x, 0, x + step, HEIGHT), fill=colour)
    elif product.cover is Print.SLANTS:
        for x in range(-HEIGHT, WIDTH, 2 * step):
            draw.polygon(((x, HEIGHT), (x + step, HEIGHT), (x + step + HEIGHT, 0), (x + HEIGHT, 0)), fill=colour)
    elif product.cover is Print.CHECKS:
        for row, y in enumerate(range(0, HEIGHT, step)):
            for x in range(row % 2 * step, WIDTH, 2 * step):
                draw.rectangle((x, y, x + step, y + step), fill=colour)
    elif product.cover is Print.DOTS:
        for row, y in enumerate(range(0, HEIGHT, step)):
            for x in range(row % 2 * step, WIDTH + step, 2 * step):
                draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=colour)
    elif product.cover is Print.HALVES:
        draw.rectangle((0, HEIGHT * 0.62, WIDTH, HEIGHT), fill=colour)


def _label(draw: ImageDraw.ImageDraw, product: Product) -> None:
    top, high = product.label_top * HEIGHT, 0.34 * HEIGHT
    half = 0.27 * WIDTH
    middle = WIDTH / 2
    draw.rounded_rectangle((middle - half, top, middle + half, top + high), radius=8, fill=product.label)
    _emblem(draw, product.emblem, (middle, top + high / 2), 0.36 * high, product.ink, product.label)


def _emblem(
    draw: ImageDraw.ImageDraw,
    emblem: Emblem,
    centre: tuple[float, float],
    radius: float,
    ink: Colour,
    ground: Colour,
) -> None:
    x, y = centre
    whole = (x - radius, y - radius, x + radius, y + radius)
    if emblem in (Emblem.DISC, Emblem.RING):
        draw.ellipse(whole, fill=ink)
        if emblem is Emblem.RING:
            inner = 0.55 * radius
            draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=ground)
    elif emblem is Emblem.CROSS:
        arm = 0.3 * radius
        draw.rectangle((x - arm, y - radius, x + arm, y + radius), fill=ink)
        draw.rectangle((x - radius, y - arm, x + radius, y + arm), fill=ink)
    elif emblem is Emblem.BARS:
        for offset in (-0.8, -0.1, 0.6):
            draw.rectangle((x - radius, y + offset * radius, x + radius, y + (offset + 0.35) * radius), fill=ink)
    else:
        points = {Emblem.TRIANGLE: 3, Emblem.DIAMOND: 4, Emblem.STAR: 10}[emblem]
        draw.polygon(
            [
                (
                    x + radius * math.sin(angle) * (0.42 if points == 10 and number % 2 else 1.0),
                    y - radius * math.cos(angle) * (0.42 if points == 10 and number % 2 else 1.0),
                )
                for number, angle in enumerate(2 * math.pi * i / points for i in range(points))
            ],
            fill=ink,
        )
