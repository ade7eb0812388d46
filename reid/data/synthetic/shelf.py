"""One picture of a product: how it lies before a shelf, the light on it, and what the camera makes of that."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from reid.data.synthetic.camera import Pixels, to_bytes
from reid.data.synthetic.packaging import HEIGHT, WIDTH

SIDE = 96
"""Pixels of a picture, which is square."""

_OVERSAMPLE = 2


def product_image(front: Image.Image, neighbour: Image.Image, rng: np.random.Generator) -> bytes:
    """JPEG of a product, turned and tilted at will; sometimes a part of `neighbour` is in front of it.

    Args:
        front: `artwork` of the product.
        neighbour: `artwork` of another one.
        rng: of this picture.
    """
    view = _shelf(rng)
    view = _place(view, front, rng)
    if rng.random() < 0.15:
        view = _place(view, neighbour, rng, aside=float(rng.choice((-1, 1)) * rng.uniform(0.5, 0.62)))
    return _photographed(np.asarray(view.reduce(_OVERSAMPLE), np.float32) / np.float32(255), rng)


def _shelf(rng: np.random.Generator) -> Image.Image:
    """A wall of one tone, a board, and blurred things that stand about."""
    side = SIDE * _OVERSAMPLE
    shelf = Image.new("RGB", (side, side), _tone(rng, 60, 220))
    draw = ImageDraw.Draw(shelf)
    for _ in range(int(rng.integers(2, 7))):
        left, top = (int(v) for v in rng.integers(-30, side, 2))
        wide, high = (int(v) for v in rng.integers(20, 90, 2))
        draw.rectangle((left, top, left + wide, top + high), fill=_tone(rng, 30, 230))
    board = int(rng.uniform(0.72, 0.95) * side)
    draw.rectangle((0, board, side, side), fill=_tone(rng, 70, 200))
    return shelf.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.0, 4.0))))


def _place(view: Image.Image, front: Image.Image, rng: np.random.Generator, aside: float = 0.0) -> Image.Image:
    """Puts artwork before the view with its shadow; `aside` in sides of the picture."""
    side = SIDE * _OVERSAMPLE
    shown = front.transform(
        (side, side), Image.Transform.PERSPECTIVE, _pose(rng, side, aside), Image.Resampling.BICUBIC
    )
    cover = shown.getchannel("A")
    drop = (int(rng.integers(-8, 9)), int(rng.integers(3, 9)))
    shadow = Image.new("L", (side, side))
    shadow.paste(cover.point(lambda level: level // 2), drop)
    dark = shadow.filter(ImageFilter.GaussianBlur(6))
    behind = Image.composite(Image.new("RGB", (side, side), (10, 10, 12)), view, dark)
    behind.paste(shown.convert("RGB"), mask=cover)
    return behind


def _pose(rng: np.random.Generator, side: int, aside: float) -> tuple[float, ...]:
    """The eight numbers by which PIL finds, for a pixel of the picture, the one of the artwork."""
    height = side * rng.uniform(0.66, 0.92)
    width = height * WIDTH / HEIGHT * rng.uniform(0.8, 1.0)
    turn = math.radians(rng.normal(0, 14))
    centre = side * (0.5 + rng.uniform(-0.06, 0.06, 2) + (aside, 0.0))
    narrow_top, narrow_side = rng.uniform(-0.12, 0.12, 2)
    corners = []
    for right, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x = 0.5 * right * width * (1 + narrow_top * down)
        y = 0.5 * down * height * (1 + narrow_side * right)
        corners.append(
            (
                centre[0] + x * math.cos(turn) - y * math.sin(turn),
                centre[1] + x * math.sin(turn) + y * math.cos(turn),
            )
        )
    return _projection(corners, ((0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)))


def _projection(seen: list[tuple[float, float]], flat: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """a..h of u = (ax + by + c) / (gx + hy + 1), v = (dx + ey + f) / (gx + hy + 1), from four points."""
    rows, values = [], []
    for (x, y), (u, v) in zip(seen, flat, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(float(v) for v in np.linalg.solve(np.array(rows), np.array(values)))


def _photographed(view: Pixels, rng: np.random.Generator) -> bytes:
    """Light, its colour, a reflection, lens, sensor and JPEG."""
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)
    fall = rng.uniform(-0.25, 0.25) * across[None, :, None] + rng.uniform(-0.25, 0.25) * across[:, None, None]
    cast = np.exp(rng.normal(0, 0.09, 3)).astype(np.float32)
    lit = np.clip(view * rng.uniform(0.6, 1.25) * (1 + fall) * cast, 0, 1)
    if rng.random() < 0.4:  # a lamp mirrored on the package
        centre, thick = rng.uniform(-0.5, 0.5), rng.uniform(0.05, 0.15)
        glare = np.exp(-(((across[None, :, None] - centre) / thick) ** 2)) * rng.uniform(0.1, 0.35)
        lit = lit + (1 - lit) * glare
    picture = Image.fromarray(to_bytes(np.asarray(lit, np.float32)))
    picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, 1.1))))
    noise = rng.standard_normal((SIDE, SIDE, 3), np.float32) * np.float32(rng.uniform(0.005, 0.03))
    picture = Image.fromarray(to_bytes(np.asarray(picture, np.float32) / np.float32(255) + noise))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(65, 93)))
    return file.getvalue()


def _tone(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    grey = rng.integers(low, high)
    red, green, blue = (int(v) for v in np.clip(grey + rng.integers(-30, 31, 3), 0, 255))
    return red, green, blue
