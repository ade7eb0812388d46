"""A surveillance camera: where it stands, what is behind the people, and how it spoils the picture."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from reid.data.synthetic.appearance import Colour

WIDTH, HEIGHT = 64, 128
"""Pixels of one image, as in Market-1501."""

Pixels = NDArray[np.float32]
"""RGB [H, W, 3], 0 to 1."""

_SCENE_WIDTH = 420


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        yaw: direction people mostly walk in, radians; 0 towards the camera.
        pitch: how far it looks down, radians.
        gain: factor on the light it gathers.
        gamma: exponent of its tone curve.
        cast: factor of red, green and blue.
        saturation: 1 keeps colours, less fades them.
        haze: black level that fog or flare adds.
        blur: radius in pixels.
        noise: standard deviation, fraction of white.
        quality: of the JPEG.
        light_x: -1 lit from the left, 1 from the right.
        post: chance that something fixed in front hides part of a person.
        scene: uint8 RGB picture [HEIGHT + 16, _SCENE_WIDTH, 3]; an image's background is cut out of it.
    """

    yaw: float
    pitch: float
    gain: float
    gamma: float
    cast: tuple[float, float, float]
    saturation: float
    haze: float
    blur: float
    noise: float
    quality: int
    light_x: float
    post: float
    scene: NDArray[np.uint8]


def make_cameras(count: int, rng: np.random.Generator) -> tuple[Camera, ...]:
    """Cameras that differ in every respect: each property is spread evenly over them, in an order of its own."""

    def spread(low: float, high: float) -> list[float]:
        return [float(v) for v in low + (high - low) * (rng.permutation(count) + rng.uniform(0.2, 0.8, count)) / count]

    gains, gammas, warmths, tints = spread(0.86, 1.12), spread(0.88, 1.16), spread(-0.09, 0.09), spread(-0.035, 0.035)
    saturations, hazes, blurs, noises = spread(0.8, 1.15), spread(0.0, 0.06), spread(0.1, 0.9), spread(0.008, 0.03)
    qualities, lights, posts, pitches = spread(60, 92), spread(-1, 1), spread(0.05, 0.3), spread(0.0, 0.5)
    return tuple(
        Camera(
            # The golden angle keeps any number of directions apart: front, three quarters from behind, side, ...
            yaw=i * 2.39996 + float(rng.uniform(-0.25, 0.25)),
            pitch=pitches[i],
            gain=gains[i],
            gamma=gammas[i],
            cast=(math.exp(warmths[i]), math.exp(tints[i]), math.exp(-warmths[i])),
            saturation=saturations[i],
            haze=hazes[i],
            blur=blurs[i],
            noise=noises[i],
            quality=round(qualities[i]),
            light_x=lights[i],
            post=posts[i],
            scene=_draw_scene(rng),
        )
        for i in range(count)
    )


def background(camera: Camera, rng: np.random.Generator) -> Pixels:
    """A random cut-out of the camera's scene."""
    top = int(rng.integers(0, camera.scene.shape[0] - HEIGHT + 1))
    left = int(rng.integers(0, camera.scene.shape[1] - WIDTH + 1))
    return camera.scene[top : top + HEIGHT, left : left + WIDTH].astype(np.float32) / np.float32(255)


def expose(camera: Camera, pixels: Pixels, rng: np.random.Generator) -> bytes:
    """What the camera makes of a view: light, tone curve, colour cast, lens, sensor and JPEG.

    Args:
        camera: the camera.
        pixels: the view in front of it.
        rng: varies light and sensor noise from image to image.
    """
    across = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :, None]
    light = camera.gain * rng.uniform(0.82, 1.18) * (1 + (0.12 * camera.light_x + rng.uniform(-0.08, 0.08)) * across)
    cast = np.asarray(camera.cast, np.float32) * rng.uniform(0.96, 1.04, 3).astype(np.float32)
    gamma = camera.gamma * rng.uniform(0.93, 1.07)
    seen = np.clip(pixels * light * cast, 0, 1) ** np.float32(gamma)
    grey = seen.mean(axis=2, keepdims=True)
    seen = grey + (seen - grey) * camera.saturation
    seen = camera.haze + (1 - camera.haze) * seen
    picture = Image.fromarray(to_bytes(seen)).filter(ImageFilter.GaussianBlur(camera.blur * rng.uniform(0.8, 1.25)))
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), np.float32) * np.float32(camera.noise)
    noise = 0.6 * noise + 0.4 * noise.mean(axis=2, keepdims=True)
    picture = Image.fromarray(to_bytes(np.asarray(picture, np.float32) / 255 + noise))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=camera.quality)
    return file.getvalue()


def to_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Fractions as bytes, clipped and rounded."""
    return (np.clip(pixels, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _draw_scene(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A street: a wall, a shop front and a park in some order, a pavement before them, and things that stand about."""
    wide, high = _SCENE_WIDTH, HEIGHT + 16
    horizon = int(rng.integers(high // 4, high // 2 + 8))
    image = Image.new("RGB", (wide, high))
    part = -(-wide // len(_FRONTS))
    for place, kind in enumerate(rng.permutation(len(_FRONTS))):
        front = Image.new("RGB", (part, horizon + 6), _tone(rng, 90, 190, 24))
        _FRONTS[kind](ImageDraw.Draw(front), rng, part, horizon)
        image.paste(front, (place * part, 0))
    draw = ImageDraw.Draw(image)
    _ground(draw, rng, wide, horizon, high)
    _furniture(draw, rng, wide, horizon, high)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    grain = Image.fromarray(rng.integers(0, 256, (high // 6, wide // 6), np.uint8))
    rough = np.asarray(grain.resize((wide, high), Image.Resampling.BICUBIC), np.float32)[..., None] / 255
    speckle = 4 * rng.standard_normal((high, wide, 1), np.float32)
    return np.clip(pixels * (0.9 + 0.2 * rough) + speckle, 0, 255).astype(np.uint8)


def _wall(draw: ImageDraw.ImageDraw, rng: np.random.Generator, wide: int, horizon: int) -> None:
    step, long = int(rng.integers(6, 11)), int(rng.integers(14, 26))
    joint = _tone(rng, 80, 150, 10)
    for row, y in enumerate(range(0, horizon, step)):
        draw.line((0, y, wide, y), fill=joint)
        for x in range((row % 2) * long // 2, wide, long):
            draw.line((x, y, x, y + step), fill=joint)
    for _ in range(int(rng.integers(1, 4))):
        x, y = int(rng.integers(0, wide)), int(rng.integers(0, max(1, horizon - 24)))
        right, bottom = x + int(rng.integers(12, 40)), y + int(rng.integers(10, 22))
        draw.rectangle((x, y, right, bottom), fill=_tone(rng, 40, 200, 40))


def _windows(draw: ImageDraw.ImageDraw, rng: np.random.Generator, wide: int, horizon: int) -> None:
    x = 0
    while x < wide:
        step = int(rng.integers(24, 60))
        glass, frame = _tone(rng, 30, 130, 20), _tone(rng, 60, 210, 40)
        draw.rectangle((x, 0, x + step, horizon), fill=frame)
        draw.rectangle((x + 3, -1, x + step - 3, horizon - int(rng.integers(3, 12))), fill=glass)
        draw.line((x + 5, horizon - 14, x + step // 2, 0), fill=_tone(rng, 120, 220, 10), width=2)
        x += step


def _park(draw: ImageDraw.ImageDraw, rng: np.random.Generator, wide: int, horizon: int) -> None:
    for _ in range(90):
        x, y = int(rng.integers(0, wide)), int(rng.integers(0, horizon + 6))
        size, green = int(rng.integers(3, 12)), int(rng.integers(50, 150))
        shade = (int(green * rng.uniform(0.5, 0.9)), green, int(green * rng.uniform(0.3, 0.6)))
        draw.ellipse((x - size, y - size, x + size, y + size), fill=shade)


_FRONTS = (_wall, _windows, _park)


def _ground(draw: ImageDraw.ImageDraw, rng: np.random.Generator, wide: int, horizon: int, high: int) -> None:
    base = _tone(rng, 110, 150, 8)
    draw.rectangle((0, horizon, wide, high), fill=base)
    line: Colour = (int(base[0] * 0.86), int(base[1] * 0.86), int(base[2] * 0.86))
    if rng.random() < 0.7:
        y = float(horizon) + 3
        while y < high:
            draw.line((0, y, wide, y), fill=line)
            y += 3 + (y - horizon) * 0.22
        lean = float(rng.uniform(-40, 40))
        for x in range(-60, wide + 60, 26):
            draw.line((x, horizon, x + lean, high), fill=line)
    else:
        x = int(rng.integers(0, wide))
        draw.polygon(((x, horizon), (x + 10, horizon), (x + 150, high), (x + 90, high)), fill=_tone(rng, 190, 235, 10))
    draw.line((0, horizon, wide, horizon), fill=line, width=2)


def _furniture(draw: ImageDraw.ImageDraw, rng: np.random.Generator, wide: int, horizon: int, high: int) -> None:
    for _ in range(int(rng.integers(4, 9))):
        x, colour = int(rng.integers(0, wide)), _tone(rng, 30, 200, 40)
        foot = horizon + int(rng.integers(2, (high - horizon) // 2))
        kind = rng.integers(3)
        if kind == 0:
            draw.rectangle((x, 0, x + int(rng.integers(2, 5)), foot), fill=colour)
        elif kind == 1:
            draw.rectangle((x, foot - int(rng.integers(10, 26)), x + int(rng.integers(10, 30)), foot), fill=colour)
        else:
            draw.ellipse((x, foot - 30, x + 9, foot - 21), fill=_tone(rng, 60, 200, 40))
            draw.rectangle((x, foot - 21, x + 9, foot - 10), fill=colour)
            draw.rectangle((x + 1, foot - 10, x + 8, foot), fill=_tone(rng, 30, 110, 20))


def _tone(rng: np.random.Generator, low: int, high: int, colourful: int) -> Colour:
    """A colour around a random grey; `colourful` is how far a channel may lie from it."""
    grey = int(rng.integers(low, high))
    red, green, blue = (int(v) for v in np.clip(grey + rng.integers(-colourful, colourful + 1, 3), 0, 255))
    return red, green, blue
