"""Small charts as inline SVG: axes with ticks and labels, lines, areas, bars, points; tooltips by `<title>`.

No script and no library. Colours and type come from the page's style by class, so that a chart follows light, dark and
print. Everything that is drawn is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 16, 14, 54

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    Attributes:
        label: what is measured, with its unit.
        low: value at the axis' start; above 0 for a logarithmic axis.
        high: value at its end, above `low`.
        ticks: values with their words.
        logarithmic: powers of ten are equally far apart.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value stands between start (0) and end (1); values beyond are moved to the ends."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(label: str, low: float, high: float, *, wanted: int = 5) -> Axis:
    """An axis with round ticks, about `wanted` of them, inside [low, high]."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 2.5, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + math.isclose(step, 2.5 * power))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(label, low, high, [(n * step, f"{n * step:,.{digits}f}") for n in range(first, last + 1)])


@dataclass
class Chart:
    """A chart that is being drawn.

    Attributes:
        x: the horizontal axis.
        y: the vertical axis.
        words: what a reader who cannot see it needs to know.
    """

    x: Axis
    y: Axis
    words: str
    _marks: list[Markup] = field(default_factory=list)

    def line(self, points: Iterable[Point], style: str) -> None:
        """A line through points."""
        self._add('<path class="line {}" d="{}"/>', style, self._path(points))

    def area(self, points: Sequence[Point], style: str) -> None:
        """A line and the area below it."""
        base = [(points[-1][0], self.y.low), (points[0][0], self.y.low)]
        self._add('<path class="area {}" d="{}Z"/>', style, self._path([*points, *base]))
        self.line(points, style)

    def bar(self, left: float, right: float, height: float, style: str, tip: str) -> None:
        """A bar from the horizontal axis, with a gap to its neighbours."""
        x0, x1, y = self._x(left) + 0.75, self._x(right) - 0.75, self._y(height)
        size = (max(x1 - x0, 0.5), self._y(self.y.low) - y)
        self._add(
            '<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>',
            style, x0, y, *size, tip,
        )  # fmt: skip

    def dot(self, at: Point, style: str, tip: str) -> None:
        """A point that stands out."""
        self._add(
            '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>',
            style, self._x(at[0]), self._y(at[1]), tip,
        )  # fmt: skip

    def whisker(self, x: float, low: float, high: float) -> None:
        """An interval at one place of the horizontal axis."""
        at, ends = self._x(x), (self._y(low), self._y(high))
        self._add(
            '<path class="whisker" d="M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}h8M{3:.1f} {2:.1f}h8"/>',
            at, *ends, at - 4,
        )  # fmt: skip

    def upright(self, x: float, words: str) -> None:
        """A dashed line across the chart, named at its top on the side where there is room."""
        at = self._x(x)
        before = self.x.share(x) > 0.55
        self._add('<path class="upright" d="M{:.1f} {}V{}"/>', at, _TOP, HEIGHT - _BOTTOM)
        self._add(
            '<text class="note" x="{:.1f}" y="{}" text-anchor="{}">{}</text>',
            at + (-6 if before else 6), _TOP + 12, "end" if before else "start", words,
        )  # fmt: skip

    def tips(self, points: Sequence[Point], tips: Sequence[str]) -> None:
        """Makes each point answer to the pointer anywhere above or below it."""
        xs = [self._x(x) for x, _ in points]
        middles = [xs[0], *((a + b) / 2 for a, b in pairwise(xs)), xs[-1]]
        for number, ((_, y), tip) in enumerate(zip(points, tips, strict=True)):
            left, right = middles[number], middles[number + 1]
            self._add(
                '<g class="tip"><rect x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>'
                '<circle cx="{:.1f}" cy="{:.1f}" r="4"/><title>{}</title></g>',
                left, _TOP, max(right - left, 1), HEIGHT - _BOTTOM - _TOP, xs[number], self._y(y), tip,
            )  # fmt: skip

    def draw(self) -> Markup:
        """The `<svg>` element."""
        return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
            WIDTH, HEIGHT, self.words, self._axes(), Markup("").join(self._marks)
        )

    def _axes(self) -> Markup:
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        parts = [
            Markup('<path class="grid" d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                _LEFT, self._y(value), right, _LEFT - 8, self._y(value) + 4, words
            )
            for value, words in self.y.ticks
        ]
        parts += [
            Markup(
                '<path class="tick" d="M{0:.1f} {1}v5"/><text x="{0:.1f}" y="{2}" text-anchor="middle">{3}</text>'
            ).format(self._x(value), bottom, bottom + 20, words)
            for value, words in self.x.ticks
        ]
        parts.append(Markup('<path class="axis" d="M{} {}H{}"/>').format(_LEFT, bottom, right))
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                (_LEFT + right) / 2, HEIGHT - 8, self.x.label
            )
        )
        middle = (_TOP + bottom) / 2
        parts.append(
            Markup(
                '<text class="label" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>'
            ).format(middle, self.y.label)
        )
        return Markup("").join(parts)

    def _add(self, element: str, *values: object) -> None:
        self._marks.append(Markup(element).format(*values))  # noqa: S704 - the texts above; values are escaped

    def _path(self, points: Iterable[Point]) -> str:
        return "M" + "L".join(f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in points)

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self.y.share(value) * (HEIGHT - _TOP - _BOTTOM)
