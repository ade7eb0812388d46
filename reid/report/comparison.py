"""The comparison of two evaluations as one HTML page: differences with intervals, and the queries that changed most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from markupsafe import Markup

from reid.files import write_text
from reid.report.svg import Chart, linear_axis
from reid.report.templating import percent, render_page
from reid.report.thumbnails import MIME, Album, ImageSource, open_file
from reid.retrieval.comparison import Comparison, QueryChange

_SHOWN = 24  # queries of each side
_PICTURE_BYTES = 8_000_000
_MOST_DOTS = 4_000
_FIGURES = {"mAP": "mAP", "cmc_rank_1": "rank-1"}


@dataclass(frozen=True)
class _Tile:
    """A query on the page; `picture` is a data address, empty where there is no picture."""

    change: QueryChange
    name: str
    picture: str


def write_comparison(path: Path, comparison: Comparison, *, images: ImageSource = open_file) -> Path:
    """Writes the page, whole or not at all.

    Args:
        path: the `.html` file.
        comparison: of evaluation A with B.
        images: the picture behind a path, None where there is none.
    """
    sides = [comparison.gained[:_SHOWN], comparison.lost[:_SHOWN]]
    paths = [one.path for side in sides for one in side]
    album = Album(images, paths, _PICTURE_BYTES)
    album.add([[one] for one in paths])
    page = render_page(
        "compare.html.j2",
        {
            "title": f"{comparison.name_a} against {comparison.name_b}",
            "comparison": comparison,
            "verdict": _verdict(comparison),
            "differences": [(_FIGURES[name], found) for name, found in comparison.differences.items()],
            "chart": _precision_chart(comparison),
            "dots": min(len(comparison.changes), _MOST_DOTS),
            "gained": _tiles(sides[0], album),
            "lost": _tiles(sides[1], album),
        },
    )
    write_text(path, page)
    return path


def _verdict(comparison: Comparison) -> str:
    """Who is ahead in mAP, and whether other people in the queries might turn it round."""
    found = comparison.differences["mAP"]
    if found.difference == 0:
        return "Both have the same mAP."
    ahead = comparison.name_a if found.difference > 0 else comparison.name_b
    words = f"{ahead} is ahead by {100 * abs(found.difference):.1f} points of mAP"
    if math.isnan(found.low):
        return f"{words}, on a single person."
    if found.low <= 0 <= found.high:
        return f"{words}, but other people might turn it round: the 95\N{NO-BREAK SPACE}% interval holds zero."
    return f"{words}, and the 95\N{NO-BREAK SPACE}% interval leaves out zero."


def _precision_chart(comparison: Comparison) -> Markup:
    """Average precision of each query by A over that by B; at most `_MOST_DOTS`, evenly spread over the gains."""
    found = comparison.differences["mAP"]
    chart = Chart(
        linear_axis(f"AP of {comparison.name_b} (%)", 0, 100),
        linear_axis(f"AP of {comparison.name_a} (%)", 0, 100),
        f"Average precision of each query: A is better in {found.a_wins}, B in {found.b_wins}",
    )
    chart.line([(0, 0), (100, 100)], "equal")
    for one in comparison.changes[:: 1 + len(comparison.changes) // _MOST_DOTS]:
        style = "same" if one.gain > 0 else "different" if one.gain < 0 else "equal"
        tip = f"{_name(one)}: A {percent(one.precision_a)}, B {percent(one.precision_b)}"
        chart.dot((100 * one.precision_b, 100 * one.precision_a), style, tip)
    return chart.draw()


def _tiles(changes: Sequence[QueryChange], album: Album) -> list[_Tile]:
    tiles = []
    for one in changes:
        position = album.position(one.path)
        picture = "" if position < 0 else f"data:{MIME};base64,{album.pictures[position]}"
        tiles.append(_Tile(one, _name(one), picture))
    return tiles


def _name(change: QueryChange) -> str:
    return PurePath(change.path).name or f"identity {change.pid}, camera {change.camid}"
