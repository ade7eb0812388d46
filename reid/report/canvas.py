"""What all pictures share: colours, an empty figure, quiet axes, and writing a PNG whole or not at all.

Figures are made by matplotlib's objects, never through pyplot, so that no state is shared between threads and nothing
looks for a display. Blue, green and orange are those of Okabe and Ito; every colour has a shape or a word beside it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reid.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREEN, RED, ORANGE, PURPLE = "#0072B2", "#009E73", "#D0021B", "#E69F00", "#CC79A7"
INK, GREY, PALE = "#222222", "#6B6B6B", "#E6E6E6"


def new_figure(width: float, height: float, *, dpi: int = 160) -> Figure:
    """An empty white page of that many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, facecolor="white")


def typical_aspect(sizes: Sequence[tuple[int, int]]) -> float:
    """Height over width that suits most pictures of these (height, width); 2, a pedestrian's, where there is none."""
    return float(np.clip(np.median([height / width for height, width in sizes]), 0.75, 3.0)) if sizes else 2.0


def wrapped(text: str, inches: float) -> list[str]:
    """Lines of small print that fit that width."""
    return textwrap.wrap(text, max(20, int(inches * 17)))


def heading(figure: Figure, x: float, title: str, small_print: Sequence[str]) -> None:
    """A title and lines of small print; the first line ends 0.5 inches below the top, each other takes 0.15 more.

    Args:
        figure: the page.
        x: inches from the left.
        title: one line.
        small_print: how the figures were measured; see `wrapped`.
    """
    width, height = figure.get_size_inches()
    figure.text(x / width, 1 - 0.30 / height, title, fontsize=12, fontweight="bold", color=INK)
    for number, line in enumerate(small_print):
        figure.text(x / width, 1 - (0.50 + 0.15 * number) / height, line, fontsize=8, color=GREY)


def tidy(axes: Axes) -> None:
    """A light grid behind the data, no box around it."""
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=9)


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG without time or version inside: the same picture is the same file."""
    with atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
