"""Draws one walking person: jointed limbs, garments and things carried, seen from any side."""

from __future__ import annotations

import math

from PIL import Image

from reid.data.synthetic.appearance import Appearance, Bag, Colour, Hair, Hat, Lower, Pattern, Upper
from reid.data.synthetic.canvas import COAT, TRUNK, Canvas, Levels, Point, Pose


def draw_figure(person: Appearance, pose: Pose, width: int, height: int) -> tuple[Image.Image, Image.Image]:
    """Draws the person on an empty picture.

    Returns:
        RGBA picture of flat colours [height, width], and an L picture of shading, in which
        `canvas.NEUTRAL_SHADE` keeps a colour and less darkens it.
    """
    canvas = Canvas(
        pose, width, height, stature=person.stature, girth=person.build * 0.6 + 0.4, shoulders=person.shoulders
    )
    _Figure(person, pose, canvas).draw()
    return canvas.layers()


_SKIRTS = {
    Lower.SKIRT: ((0.56, 0.094, 0.070), (0.48, 0.116, 0.086), (0.31, 0.150, 0.125)),
    Lower.LONG_SKIRT: ((0.56, 0.094, 0.070), (0.48, 0.110, 0.084), (0.10, 0.155, 0.135)),
}
_SLEEVE_END = {Upper.VEST: 0.0, Upper.TEE: 0.55}
_LEG_WIDTH = {Lower.TROUSERS: 1.12, Lower.WIDE: 1.5, Lower.SHORTS: 1.3, Lower.SKIRT: 1.0, Lower.LONG_SKIRT: 1.0}


class _Figure:
    """One drawing in progress; the order of its methods is the painter's order."""

    def __init__(self, person: Appearance, pose: Pose, canvas: Canvas) -> None:
        self._person = person
        self._pose = pose
        self._on = canvas
        self._sin, self._cos = math.sin(pose.yaw), math.cos(pose.yaw)
        self._facing = self._cos > 0

    def draw(self) -> None:
        """Draws everything, the farthest first."""
        if self._facing:
            self._backpack()
            self._hair_behind()
        sides = sorted((-1, 1), key=lambda side: self._on.depth((side * 0.1, 0.5, 0.0)))
        for side in sides:
            self._leg(side)
        self._arm(sides[0])
        self._skirt()
        self._trunk()
        self._head()
        if not self._facing:
            self._hair_behind()
            self._backpack()
        self._straps()
        self._arm(sides[1])

    # Parts of the body

    def _leg(self, side: int) -> None:
        person, swing = self._person, self._pose.stride * math.sin(self._pose.phase) * side
        bend = 0.9 * self._pose.stride * max(0.0, math.cos(self._pose.phase) * side)
        hip = (side * 0.052, 0.51, 0.0)
        knee = _swung(hip, 0.235, swing)
        ankle = _swung(knee, 0.225, swing - bend)
        toe = (ankle[0] + side * 0.012, ankle[1] - 0.022, ankle[2] + 0.085)
        cloth = person.lower
        bare = cloth in (Lower.SHORTS, Lower.SKIRT, Lower.LONG_SKIRT)
        thick = person.build * 0.5 + 0.5
        self._on.limb(ankle, toe, 0.026, 0.020, person.shoes)
        if bare:
            self._on.limb(hip, knee, 0.055 * thick, 0.036 * thick, person.skin, then=(ankle, 0.023 * thick))
        wide = _LEG_WIDTH[cloth] * thick
        if cloth is Lower.SHORTS:
            self._on.limb(hip, _between(hip, knee, 0.85), 0.058 * wide, 0.046 * wide, person.lower_colour)
        elif not bare:
            ankle_radius = 0.034 * wide if cloth is Lower.WIDE else 0.026 * wide
            self._on.limb(hip, knee, 0.064 * thick, 0.040 * wide, person.lower_colour, then=(ankle, ankle_radius))

    def _arm(self, side: int) -> None:
        person = self._person
        thick = (person.build * 0.5 + 0.5) * (1.25 if person.upper in (Upper.COAT, Upper.JACKET, Upper.HOODIE) else 1.0)
        swing = -0.8 * self._pose.stride * math.sin(self._pose.phase) * side
        shoulder = (side * (0.112 * person.shoulders + 0.008 * person.build), 0.795, 0.0)
        elbow = _swung((shoulder[0] + side * 0.022 * person.build, shoulder[1], shoulder[2]), 0.155, swing)
        wrist = _swung(elbow, 0.145, swing + 0.25)
        self._on.disc((wrist[0], wrist[1] - 0.022, wrist[2] + 0.005), 0.021, 0.027, person.skin)
        end = _SLEEVE_END.get(person.upper)
        if end is None:
            self._on.limb(
                shoulder, elbow, 0.040 * thick, 0.031 * thick, person.upper_colour, then=(wrist, 0.025 * thick)
            )
        else:
            self._on.limb(shoulder, elbow, 0.034 * thick, 0.026 * thick, person.skin, then=(wrist, 0.019 * thick))
            if end:
                self._on.limb(
                    shoulder, _between(shoulder, elbow, end), 0.042 * thick, 0.038 * thick, person.upper_colour
                )
        if person.bag is Bag.HAND and side == 1:
            self._hand_bag(wrist)

    def _skirt(self) -> None:
        levels = _SKIRTS.get(self._person.lower)
        if levels is not None:
            self._on.stack(levels, self._person.lower_colour)

    def _trunk(self) -> None:
        person = self._person
        levels = COAT if person.upper is Upper.COAT else TRUNK
        self._on.limb((0.0, 0.80, 0.0), (0.0, 0.875, 0.008), 0.036, 0.031, person.skin)
        self._on.outlined(levels, person.upper_colour)
        if person.pattern is not Pattern.PLAIN or person.upper is Upper.JACKET:
            with self._on.clipped(levels):
                self._print_pattern(levels)
        self._on.shade_stack(levels)
        if person.upper is Upper.HOODIE:
            self._on.disc((0.0, 0.845, -0.045 if self._facing else -0.02), 0.070, 0.036, person.upper_colour)

    def _head(self) -> None:
        person = self._person
        if person.hair is Hair.BALD:
            self._on.disc((0.0, 0.925, 0.0), 0.052, 0.063, person.skin)
        else:
            size = 1.22 if person.hair is Hair.CURLY else 1.05
            self._on.disc((0.0, 0.934, -0.010), 0.054 * size, 0.062 * size, person.hair_colour)
        face = min(1.0, 0.55 + 0.6 * self._cos)
        if face > 0.05:
            turned = 0.030 * self._sin
            self._on.spot((turned, 0.914), 0.043 * face, 0.052, person.skin)
            for angle in (-0.42, 0.42):
                if math.cos(self._pose.yaw + angle) > 0.3:
                    eye = _mixed(person.skin, (40, 30, 30), 0.65)
                    self._on.spot((0.044 * math.sin(self._pose.yaw + angle), 0.924), 0.007, 0.005, eye)
            self._on.spot((1.2 * turned, 0.888), 0.014 * face, 0.004, _mixed(person.skin, (150, 50, 50), 0.45))
        if person.hat is not Hat.NONE:
            self._hat()

    def _hat(self) -> None:
        colour = self._person.hat_colour
        low, high = (0.945, 1.005) if self._person.hat is Hat.CAP else (0.935, 1.015)
        self._on.cap(low, high, 0.060, colour)
        if self._person.hat is Hat.CAP and self._cos > -0.3:
            self._on.limb((-0.03, 0.950, 0.055), (0.03, 0.950, 0.055), 0.013, 0.013, _darker(colour, 0.8))
            self._on.limb((0.0, 0.950, 0.04), (0.0, 0.948, 0.095), 0.016, 0.012, _darker(colour, 0.8))

    def _hair_behind(self) -> None:
        person = self._person
        if person.hair is Hair.BOB:
            self._on.limb((0.0, 0.925, -0.012), (0.0, 0.875, -0.016), 0.062, 0.058, person.hair_colour)
        elif person.hair is Hair.LONG:
            self._on.limb((0.0, 0.92, -0.014), (0.0, 0.76, -0.052), 0.062, 0.066, person.hair_colour)
        elif person.hair is Hair.TAIL:
            self._on.limb((0.0, 0.93, -0.060), (0.0, 0.79, -0.085), 0.022, 0.015, person.hair_colour)

    # Things carried

    def _backpack(self) -> None:
        if self._person.bag is not Bag.BACKPACK:
            return
        levels = ((0.815, 0.060, 0.030), (0.79, 0.085, 0.055), (0.62, 0.092, 0.065), (0.56, 0.080, 0.050))
        self._on.stack(levels, self._person.bag_colour, forward=-0.115)
        if not self._facing:
            pocket = ((0.68, 0.066, 0.030), (0.60, 0.066, 0.030))
            self._on.stack(pocket, _darker(self._person.bag_colour, 0.78), forward=-0.15)

    def _straps(self) -> None:
        person = self._person
        if person.bag is Bag.BACKPACK and self._cos > -0.3:
            for angle in (-0.62, 0.62):
                self._on.band([(0.825, angle), (0.72, angle), (0.62, angle * 1.9)], 0.017, person.bag_colour)
        elif person.bag is Bag.SHOULDER:
            front, back = [(0.82, -0.7), (0.68, 0.2), (0.54, 1.2)], [(0.82, -2.4), (0.68, 2.9), (0.54, 1.9)]
            self._on.band(front if self._facing else back, 0.014, person.bag_colour)
            if self._on.depth((0.15, 0.5, 0.0)) > -0.11:
                self._on.stack(((0.55, 0.055, 0.035), (0.42, 0.060, 0.040)), person.bag_colour, forward=0.0, left=0.15)

    def _hand_bag(self, wrist: Point) -> None:
        top = wrist[1] - 0.06
        grip = (wrist[0], wrist[1] - 0.02, wrist[2])
        self._on.limb(grip, (wrist[0], top, wrist[2]), 0.008, 0.008, self._person.bag_colour)
        levels = ((top, 0.022, 0.065), (top - 0.11, 0.028, 0.078))
        self._on.stack(levels, self._person.bag_colour, forward=wrist[2], left=wrist[0])

    # Cloth

    def _print_pattern(self, levels: Levels) -> None:
        person = self._person
        top, bottom = levels[0][0], levels[-1][0]
        if person.upper is Upper.JACKET:
            self._on.wedge(-0.34, 0.34, top, bottom, person.second)
        elif person.pattern is Pattern.LOGO:
            centre, size = (0.0, 0.34) if self._facing else (math.pi, 0.5)
            self._on.wedge(centre - size, centre + size, 0.76, 0.69 if self._facing else 0.65, person.second)
        elif person.pattern is Pattern.BLOCK:
            self._on.wedge(-math.pi, math.pi, 0.69, bottom, person.second)
        elif person.pattern is Pattern.GRADIENT:
            for i in range(12):
                y = 0.80 - (0.80 - bottom) * i / 12
                self._on.wedge(-math.pi, math.pi, y, bottom, _mixed(person.upper_colour, person.second, (i + 1) / 12))
        else:
            if person.pattern in (Pattern.HOOPS, Pattern.CHECKS):
                for i in range(math.ceil((top - bottom) / 0.07)):
                    self._on.wedge(-math.pi, math.pi, top - 0.035 - 0.07 * i, top - 0.068 - 0.07 * i, person.second)
            if person.pattern in (Pattern.STRIPES, Pattern.CHECKS):
                for i in range(10):
                    self._on.wedge(0.628 * i - 0.13, 0.628 * i + 0.13, top, bottom, person.second)


def _swung(start: Point, length: float, angle: float) -> Point:
    """End of a limb that hangs from `start` and is swung forward by `angle`."""
    return start[0], start[1] - length * math.cos(angle), start[2] + length * math.sin(angle)


def _between(start: Point, stop: Point, part: float) -> Point:
    x, y, z = (a + (b - a) * part for a, b in zip(start, stop, strict=True))
    return x, y, z


def _darker(colour: Colour, factor: float) -> Colour:
    return _mixed(colour, (0, 0, 0), 1 - factor)


def _mixed(first: Colour, second: Colour, part: float) -> Colour:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue
