"""The drawing surface of one figure: rods, discs and stacks of ellipses, projected and shaded.

Body frame: x to the person's left, y up, z forward, in units of body height, the ground at y = 0.
The trunk is a stack of ellipses, so that stripes, logos and straps sit at an angle around it and turn with the body.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from reid.data.synthetic.appearance import Colour

Point = tuple[float, float, float]
Pixel = tuple[float, float]
Levels = tuple[tuple[float, float, float], ...]
"""A stack of ellipses, top to bottom: height, half width, half depth."""

NEUTRAL_SHADE = 200
"""Level of shading that leaves a colour as it is."""

OVERSAMPLE = 3
"""Figures are drawn this many times larger than asked for, then reduced: PIL's shapes have hard edges."""

TRUNK: Levels = (
    (0.835, 0.060, 0.040),
    (0.815, 0.108, 0.055),
    (0.74, 0.112, 0.070),
    (0.63, 0.096, 0.068),
    (0.51, 0.104, 0.074),
)
COAT: Levels = (*TRUNK, (0.40, 0.118, 0.090), (0.33, 0.128, 0.100))

_EDGE, _LIT = 150, 215


@dataclass(frozen=True)
class Pose:
    """How a person walks, and from where the camera sees them.

    Attributes:
        yaw: turn of the body, radians; 0 faces the camera, pi turns its back.
        pitch: how far the camera looks down, radians.
        phase: point in the walking cycle, radians.
        stride: largest swing of the legs, radians; 0 stands still.
        feet_x: pixels from the left of the picture to the body's axis.
        feet_y: pixels from its top to the ground under the body.
        height: pixels that a body of height 1 takes.
        light_x: -1 lit from the left, 1 from the right.
    """

    yaw: float
    pitch: float
    phase: float
    stride: float
    feet_x: float
    feet_y: float
    height: float
    light_x: float = 0.0


class Canvas:
    """One drawing in progress: a layer of flat colours and a layer of shading; later shapes cover earlier ones.

    Args:
        pose: where the body stands and how it is turned.
        width, height: of the finished picture, pixels.
        stature, girth, shoulders: factors on the body's height, thickness and shoulder width.
    """

    def __init__(self, pose: Pose, width: int, height: int, *, stature: float, girth: float, shoulders: float) -> None:
        size = (width * OVERSAMPLE, height * OVERSAMPLE)
        self._light_x = pose.light_x
        self._yaw = pose.yaw
        self._girth = girth
        self._shoulders = shoulders
        self._colour = Image.new("RGBA", size)
        self._shade = Image.new("L", size, NEUTRAL_SHADE)
        self._ink = ImageDraw.Draw(self._colour)
        self._tone = ImageDraw.Draw(self._shade)
        self._sin, self._cos = math.sin(pose.yaw), math.cos(pose.yaw)
        self._tilt_sin, self._tilt_cos = math.sin(pose.pitch), math.cos(pose.pitch)
        self._unit = pose.height * stature * OVERSAMPLE
        self._origin = (pose.feet_x * OVERSAMPLE, pose.feet_y * OVERSAMPLE)

    def layers(self) -> tuple[Image.Image, Image.Image]:
        """Colours (RGBA) and shading (L) at the finished size."""
        return self._colour.reduce(OVERSAMPLE), self._shade.reduce(OVERSAMPLE)

    @contextmanager
    def clipped(self, levels: Levels) -> Iterator[None]:
        """What is drawn inside the block shows only within the outline of `levels`; for prints on cloth."""
        plain = self._colour
        self._colour = plain.copy()
        self._ink = ImageDraw.Draw(self._colour)
        yield
        mask = Image.new("L", plain.size)
        ImageDraw.Draw(mask).polygon(self._outline(levels), fill=255)
        plain.paste(self._colour, mask=mask)
        self._colour, self._ink = plain, ImageDraw.Draw(plain)

    def outlined(self, levels: Levels, colour: Colour) -> None:
        """The silhouette of a stack in one colour, without shading."""
        self._ink.polygon(self._outline(levels), fill=colour)

    def cap(self, low: float, high: float, half_width: float, colour: Colour) -> None:
        """The upper half of an ellipse that stands at height `low`, as wide from every side."""
        ring = [
            (half_width * math.cos(a), low + (high - low) * math.sin(a)) for a in (math.pi * i / 8 for i in range(9))
        ]
        self._ink.polygon([self._flat(x, y) for x, y in ring], fill=colour)

    def stack(self, levels: Levels, colour: Colour, forward: float = 0.0, left: float = 0.0) -> None:
        """A body of one colour that is moved `forward` and `left` of the body's axis."""
        self._ink.polygon(self._outline(levels, forward, left), fill=colour)
        self.shade_stack(levels, forward, left)

    def shade_stack(self, levels: Levels, forward: float = 0.0, left: float = 0.0) -> None:
        """Shading alone, for a stack whose colours are there already."""
        self._tone.polygon(self._outline(levels, forward, left), fill=_EDGE)
        self._tone.polygon(self._outline(levels, forward, left, inner=0.62), fill=_LIT)

    def _outline(self, levels: Levels, forward: float = 0.0, left: float = 0.0, inner: float = 1.0) -> list[Pixel]:
        """Silhouette of a stack; `inner` narrows it towards the light."""
        axis = left * self._cos + forward * self._sin
        depth = forward * self._cos - left * self._sin
        right_side, left_side = [], []
        for y, wide, deep in levels:
            shoulder = self._shoulders if y > 0.7 and not left and not forward else 1.0
            half = self._half_width(wide * shoulder, deep) * inner * self._girth
            shift = (1 - inner) * 0.5 * half * self._light_x
            right_side.append(self._flat(axis + half + shift, y, depth))
            left_side.append(self._flat(axis - half + shift, y, depth))
        return right_side + left_side[::-1]

    def limb(
        self,
        start: Point,
        stop: Point,
        thick: float,
        thin: float,
        colour: Colour,
        then: tuple[Point, float] | None = None,
    ) -> None:
        """A tapered rod with round ends, radii in body heights; `then` is the far end and radius of a second one."""
        joints = [(self._project(start), thick), (self._project(stop), thin)]
        if then is not None:
            joints.append((self._project(then[0]), then[1]))
        shift = 0.25 * thick * self._unit * self._light_x
        lit = [((x + shift, y), radius * 0.55) for (x, y), radius in joints]
        for draw, course, fill in ((self._ink, joints, colour), (self._tone, joints, _EDGE), (self._tone, lit, _LIT)):
            for (first, start_radius), (last, stop_radius) in pairwise(course):
                self._rod(draw, first, last, start_radius, stop_radius, fill)

    def _rod(
        self,
        draw: ImageDraw.ImageDraw,
        first: Pixel,
        last: Pixel,
        thick: float,
        thin: float,
        fill: Colour | int,
    ) -> None:
        start_radius, stop_radius = thick * self._unit, thin * self._unit
        (x0, y0), (x1, y1) = first, last
        length = math.hypot(x1 - x0, y1 - y0)
        if length > 1e-6:
            across_x, across_y = (y0 - y1) / length, (x1 - x0) / length
            draw.polygon(
                [
                    (x0 + across_x * start_radius, y0 + across_y * start_radius),
                    (x1 + across_x * stop_radius, y1 + across_y * stop_radius),
                    (x1 - across_x * stop_radius, y1 - across_y * stop_radius),
                    (x0 - across_x * start_radius, y0 - across_y * start_radius),
                ],
                fill=fill,
            )
        draw.ellipse((x0 - start_radius, y0 - start_radius, x0 + start_radius, y0 + start_radius), fill=fill)
        draw.ellipse((x1 - stop_radius, y1 - stop_radius, x1 + stop_radius, y1 + stop_radius), fill=fill)

    def disc(self, centre: Point, half_width: float, half_height: float, colour: Colour) -> None:
        """A ball, as wide from every side."""
        x, y = self._project(centre)
        wide, high = half_width * self._unit, half_height * self._unit
        self._ink.ellipse((x - wide, y - high, x + wide, y + high), fill=colour)
        self._tone.ellipse((x - wide, y - high, x + wide, y + high), fill=_EDGE)
        x += 0.3 * wide * self._light_x
        self._tone.ellipse((x - 0.6 * wide, y - 0.6 * high, x + 0.6 * wide, y + 0.6 * high), fill=_LIT)

    def spot(self, centre: Pixel, half_width: float, half_height: float, colour: Colour) -> None:
        """A flat ellipse at a place that is already in the picture's plane."""
        x, y = self._flat(*centre)
        wide, high = half_width * self._unit, half_height * self._unit
        self._ink.ellipse((x - wide, y - high, x + wide, y + high), fill=colour)

    def wedge(self, start: float, stop: float, top: float, bottom: float, colour: Colour) -> None:
        """Fills the part of the trunk between two angles (0 is the front) and two heights, as far as it is seen."""
        if stop - start >= 2 * math.pi:
            low, high = -1.0, 1.0
        else:
            angles = [self._yaw + start + (stop - start) * i / 4 for i in range(5)]
            seen = [math.sin(a) for a in angles if math.cos(a) > 0]
            if len(seen) < 2:
                return
            low, high = min(seen), max(seen)
        corners = []
        for y, u in ((top, low), (top, high), (bottom, high), (bottom, low)):
            half = self._half_width(*_level_at(y)) * self._girth
            corners.append(self._flat(half * u * 1.05, y))
        self._ink.polygon(corners, fill=colour)

    def band(self, course: list[tuple[float, float]], width: float, colour: Colour) -> None:
        """A strap over the trunk through (height, angle) points."""
        points = []
        for y, angle in course:
            half = self._half_width(*_level_at(y)) * self._girth
            points.append(self._flat(half * math.sin(self._yaw + angle), y))
        self._ink.line(points, fill=colour, width=max(1, round(width * self._unit)), joint="curve")

    def _half_width(self, wide: float, deep: float) -> float:
        """Half width of an ellipse with these half axes as the camera sees it."""
        return math.hypot(wide * self._cos, deep * self._sin)

    def depth(self, point: Point) -> float:
        """Nearness to the camera; larger is nearer."""
        return point[2] * self._cos - point[0] * self._sin

    def _project(self, point: Point) -> Pixel:
        return self._flat(point[0] * self._cos + point[2] * self._sin, point[1], self.depth(point))

    def _flat(self, across: float, y: float, depth: float = 0.0) -> Pixel:
        """Pixel of a point that is `across` the picture's plane; a camera that looks down sees heads larger."""
        spread = 1 + 0.45 * self._tilt_sin * (y - 0.5)
        up = y * self._tilt_cos - depth * self._tilt_sin
        return self._origin[0] + across * spread * self._unit, self._origin[1] - up * self._unit


def _level_at(y: float) -> tuple[float, float]:
    """Half width and half depth of the coat's trunk at height `y`, linear between its levels."""
    for (high, wide, deep), (low, wide_low, deep_low) in pairwise(COAT):
        if y >= low:
            part = min(1.0, max(0.0, (high - y) / (high - low)))
            return wide + (wide_low - wide) * part, deep + (deep_low - deep) * part
    return COAT[-1][1], COAT[-1][2]
