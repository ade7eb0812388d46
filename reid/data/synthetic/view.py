"""One image: a person, or what a detector mistook for one, in front of a camera."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from reid.data.synthetic.appearance import Appearance
from reid.data.synthetic.camera import HEIGHT, WIDTH, Camera, Pixels, background, expose
from reid.data.synthetic.canvas import NEUTRAL_SHADE, Pose
from reid.data.synthetic.figure import draw_figure


def person_image(person: Appearance, passer_by: Appearance, camera: Camera, rng: np.random.Generator) -> bytes:
    """JPEG of `person`; sometimes a post, or a part of `passer_by`, is in front."""
    view = _add(background(camera, rng), person, _pose(camera, rng), rng)
    if rng.random() < 0.10:
        side = 1 if rng.random() < 0.5 else -1
        aside = _pose(camera, rng, across=side * rng.uniform(0.52, 0.68), closer=1.08)
        view = _add(view, passer_by, aside, rng)
    if rng.random() < camera.post:
        view = _obstructed(view, rng)
    return expose(camera, view, rng)


def background_image(camera: Camera, rng: np.random.Generator) -> bytes:
    """JPEG of the empty scene."""
    return expose(camera, background(camera, rng), rng)


def bad_box_image(first: Appearance, second: Appearance, camera: Camera, rng: np.random.Generator) -> bytes:
    """JPEG of a bad detection: background, a part of a person, a box far too large, or halves of two people."""
    view = background(camera, rng)
    kind = rng.integers(4)
    if kind == 1:
        closer = rng.uniform(1.9, 2.8)
        view = _add(view, first, _pose(camera, rng, rng.uniform(-0.3, 0.3), closer, down=rng.uniform(-0.1, 1.3)), rng)
    elif kind == 2:
        aside = rng.uniform(-0.3, 0.3)
        view = _add(view, first, _pose(camera, rng, aside, rng.uniform(0.35, 0.5), down=rng.uniform(-0.4, 0)), rng)
    elif kind == 3:
        view = _add(view, first, _pose(camera, rng, across=-rng.uniform(0.36, 0.5)), rng)
        view = _add(view, second, _pose(camera, rng, across=rng.uniform(0.36, 0.5)), rng)
    return expose(camera, view, rng)


def _pose(
    camera: Camera, rng: np.random.Generator, across: float = 0.0, closer: float = 1.0, down: float = 0.0
) -> Pose:
    """A walking pose in this camera; `across` in widths, `closer` in heights, `down` in heights of the picture."""
    around = math.pi if rng.random() < 0.12 else 0.0
    return Pose(
        yaw=camera.yaw + around + float(rng.uniform(-0.5, 0.5)),
        pitch=camera.pitch + float(rng.uniform(-0.05, 0.05)),
        phase=float(rng.uniform(0, 2 * math.pi)),
        stride=float(rng.uniform(0.05, 0.55)),
        feet_x=WIDTH * (0.5 + across + float(rng.uniform(-0.09, 0.09))),
        feet_y=HEIGHT * (0.95 + down + float(rng.uniform(-0.04, 0.045))),
        height=HEIGHT * 0.91 * closer * float(rng.uniform(0.9, 1.07)) / math.cos(camera.pitch) ** 0.7,
        light_x=camera.light_x,
    )


def _add(view: Pixels, person: Appearance, pose: Pose, rng: np.random.Generator) -> Pixels:
    """Puts a figure and its shadow on the ground in front of what is already there."""
    colour, shade = draw_figure(person, pose, WIDTH, HEIGHT)
    layer = np.asarray(colour, np.float32) / 255
    tone = np.asarray(shade.filter(ImageFilter.GaussianBlur(1.0)), np.float32)[..., None] / NEUTRAL_SHADE
    folds = Image.fromarray(rng.integers(0, 256, (20, 10), np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    tone = tone * (0.88 + 0.24 * np.asarray(folds, np.float32)[..., None] / 255)
    cover = layer[..., 3:]
    return np.asarray(_shadowed(view, pose) * (1 - cover) + layer[..., :3] * tone * cover, np.float32)


def _shadowed(view: Pixels, pose: Pose) -> Pixels:
    centre = pose.feet_x - 0.08 * pose.height * pose.light_x
    rows = (np.arange(HEIGHT, dtype=np.float32) - pose.feet_y + 1) / (0.03 * pose.height)
    columns = (np.arange(WIDTH, dtype=np.float32) - centre) / (0.15 * pose.height)
    shadow = np.exp(-(rows**2))[:, None] * np.exp(-(columns**2))[None, :]
    return np.asarray(view * (1 - 0.5 * shadow[..., None]), np.float32)


def _obstructed(view: Pixels, rng: np.random.Generator) -> Pixels:
    """Something in the way: a post, a railing or a low wall."""
    view = view.copy()
    colour = (rng.uniform(0.12, 0.7) + rng.uniform(-0.12, 0.12, 3)).clip(0.05, 0.9).astype(np.float32)
    kind = rng.integers(3)
    if kind == 0:
        left, wide = int(rng.integers(2, WIDTH - 12)), int(rng.integers(5, 12))
        view[:, left : left + wide] = colour * np.linspace(1.15, 0.75, wide, dtype=np.float32)[:, None]
    elif kind == 1:
        top = int(rng.integers(HEIGHT * 55 // 100, HEIGHT * 85 // 100))
        view[top : top + 4] = colour
        for left in range(int(rng.integers(0, 14)), WIDTH, 14):
            view[top:, left : left + 3] = colour * np.float32(0.9)
    else:
        top = int(rng.integers(HEIGHT * 66 // 100, HEIGHT * 84 // 100))
        view[top:] = colour * rng.uniform(0.8, 1.1, (HEIGHT - top, WIDTH, 1)).astype(np.float32)
    return view
