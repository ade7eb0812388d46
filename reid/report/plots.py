"""Curves of a result: the CMC, and the course of a training; with `plot_matches`, all pictures that actions write.

Each picture has a `draw_*`, which returns the matplotlib figure, and a `plot_*`, which writes it as PNG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reid.report.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    heading,
    new_figure,
    save,
    tidy,
    wrapped,
)
from reid.report.matches import draw_matches, plot_matches
from reid.retrieval.metrics import CMC_RANKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_cmc", "draw_matches", "draw_training", "plot_cmc", "plot_matches", "plot_training"]

_LINE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)


def plot_cmc(cmc: npt.NDArray[np.float64], path: Path, *, mean_ap: float, protocol: str = "") -> None:
    """Writes `draw_cmc` to `path` as PNG."""
    save(draw_cmc(cmc, mean_ap=mean_ap, protocol=protocol), path)


def plot_training(
    epochs: Sequence[float],
    path: Path,
    *,
    losses: Mapping[str, Sequence[float]],
    learning_rate: Sequence[float],
    figures: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Writes `draw_training` to `path` as PNG."""
    save(draw_training(epochs, losses=losses, learning_rate=learning_rate, figures=figures), path)


def draw_cmc(cmc: npt.NDArray[np.float64], *, mean_ap: float, protocol: str = "") -> Figure:
    """The cumulative matching characteristic in per cent, with ranks 1, 5 and 10 in numbers.

    The vertical axis always runs from 0 to 100 %, so that two curves side by side can be compared by eye.

    Args:
        cmc: float64 [K], fractions; cmc[k - 1] belongs to rank k.
        mean_ap: mAP, a fraction.
        protocol: how the figures were measured.
    """
    figure = new_figure(6.4, 4.5)
    heading(figure, 0.7, f"CMC curve, mAP {100 * mean_ap:.1f} %", wrapped(protocol, 5.4))
    axes = figure.add_axes((0.11, 0.12, 0.85, 0.68))
    ranks, percent = np.arange(1, len(cmc) + 1), 100 * np.asarray(cmc, dtype=np.float64)
    short = len(cmc) <= 20
    axes.plot(ranks, percent, color=BLUE, linewidth=2, marker="o" if short else "", markersize=3.5, clip_on=False)
    named = {rank: float(percent[rank - 1]) for rank in CMC_RANKS if rank <= len(cmc)}
    dots: dict[str, Any] = {"color": BLUE, "markersize": 8, "markeredgecolor": "white", "markeredgewidth": 1.5}
    axes.plot(list(named), list(named.values()), "o", **dots, clip_on=False, zorder=5)
    if short:
        for rank, value in named.items():
            _label_point(axes, rank, value, at_the_end=rank > 1 and rank > 0.8 * len(cmc))
    else:
        text = "\n".join(f"rank-{rank}  {value:.1f} %" for rank, value in named.items())
        x, y, corner = (0.97, 0.06, "bottom") if percent[len(cmc) // 2] > 45 else (0.97, 0.95, "top")
        box = {"facecolor": "white", "edgecolor": PALE, "boxstyle": "round,pad=0.5"}
        axes.text(x, y, text, transform=axes.transAxes, ha="right", va=corner, fontsize=9, color=INK, bbox=box)
    axes.set_xlim(1 - 0.03 * max(len(cmc), 2), len(cmc) + 0.03 * max(len(cmc), 2))
    axes.set_ylim(0, 102)
    axes.set_xticks(ranks if len(cmc) <= 15 else [1, *range(5, len(cmc) + 1, 5 * (1 + len(cmc) // 100))])
    axes.set_xlabel("rank", color=INK)
    axes.set_ylabel("queries with a match up to this rank (%)", color=INK)
    tidy(axes)
    return figure


def draw_training(
    epochs: Sequence[float],
    *,
    losses: Mapping[str, Sequence[float]],
    learning_rate: Sequence[float],
    figures: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Loss, learning rate and, where there was a validation, its figures over the epochs.

    Args:
        epochs: [N], the horizontal axis of all panels.
        losses: [N] each, by name.
        learning_rate: [N].
        figures: [N] each, by name, fractions; NaN in an epoch without validation. The best of each gets a star.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    x = np.asarray(epochs, dtype=np.float64)
    measured = {name: np.asarray(values, dtype=np.float64) for name, values in (figures or {}).items()}
    measured = {name: values for name, values in measured.items() if not np.isnan(values).all()}
    panels = 3 if measured else 2
    page = new_figure(4.2 * panels, 3.6)
    axes = [page.add_axes(((p + 0.16) / panels, 0.145, 0.8 / panels, 0.74)) for p in range(panels)]
    margin = max(0.02 * float(np.ptp(x)), 0.2)
    dot = "." if len(x) <= 40 else ""
    for number, (name, values) in enumerate(losses.items()):
        axes[0].plot(x, values, color=_LINE_COLOURS[number % 6], linewidth=1.8, marker=dot, label=name)
    axes[1].plot(x, learning_rate, color=INK, linewidth=1.8, marker=dot)
    power = _power_of_ten(max(learning_rate))
    rate = f"learning rate (in 1e{power})" if power else "learning rate"
    axes[1].set_ylim(0, 1.08 * max(learning_rate) or 1)  # from zero: a rate that stays gets no ticks of its last digits
    axes[1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10.0**power:.3g}"))
    for number, (name, fractions) in enumerate(measured.items()):
        star = max(16 - 5 * number, 6)  # of two bests in one place the smaller stands on the larger
        _validation_line(axes[2], x, 100 * fractions, name, _LINE_COLOURS[number % 6], star=star)
    for panel, title in zip(axes, ("loss", rate, "validation (%)"), strict=False):
        panel.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
        panel.set_xlabel("epoch", color=INK)
        panel.set_xlim(x.min() - margin, x.max() + margin)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        tidy(panel)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False, fontsize=8.5)
    return page


def _label_point(axes: Axes, rank: int, value: float, *, at_the_end: bool) -> None:
    """Writes beside a point where a curve that never falls cannot be: right below it, or left above it at the end."""
    above = value < 12 or (at_the_end and value < 90)
    axes.annotate(
        f"rank-{rank}  {value:.1f} %",
        (rank, value),
        xytext=(4, 9 if above else -9),
        textcoords="offset points",
        ha="right" if at_the_end else "left",
        va="bottom" if above else "top",
        fontsize=9,
        color=INK,
    )


def _power_of_ten(largest: float) -> int:
    """The power of ten that a number is one to ten of; 0 for zero."""
    return math.floor(math.log10(largest)) if largest > 0 else 0


def _validation_line(
    axes: Axes, epochs: npt.NDArray[np.float64], percent: npt.NDArray[np.float64], name: str, colour: str, *, star: int
) -> None:
    """One figure over the epochs that have it, the best with a star and in the legend."""
    known = np.flatnonzero(~np.isnan(percent))
    best = known[percent[known].argmax()]
    label = f"{name}, best {percent[best]:.1f} % in epoch {epochs[best]:g}"
    axes.plot(epochs[known], percent[known], color=colour, linewidth=1.8, marker=".", label=label)
    axes.plot(epochs[best], percent[best], "*", color=colour, markersize=star, markeredgecolor="white", zorder=5)
    axes.set_ylim(0, 102)
