"""Sampled matches: some queries with their nearest gallery images, from the ranking that the figures were read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reid.data.images import decode
from reid.errors import DataError
from reid.report.canvas import BLUE, GREEN, GREY, INK, PALE, RED, heading, new_figure, save, typical_aspect, wrapped
from reid.report.words import PEOPLE, Words, shortened
from reid.retrieval.metrics import APForm, average_precision
from reid.retrieval.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = npt.NDArray[np.uint8]

RIGHT_MARK, WRONG_MARK = "✓", "✗"

_TILE_INCHES = 0.82  # width of one picture
_THUMBNAIL_PIXELS = 320  # longer side that a picture is shrunk to before it is drawn
_LABEL = 18  # characters below a picture
_DPI = 125  # pictures compress badly: a page of 10 x 10 stays near 4 MB


def plot_matches(
    ranking: Ranking,
    query_paths: Sequence[str | Path],
    gallery_paths: Sequence[str | Path],
    path: Path,
    *,
    rows: int = 10,
    columns: int = 10,
    seed: int = 0,
    query_labels: Sequence[str] = (),
    gallery_labels: Sequence[str] = (),
    form: APForm = "sum",
    protocol: str = "",
    words: Words = PEOPLE,
) -> None:
    """Writes `draw_matches` to `path` as PNG."""
    figure = draw_matches(
        ranking,
        query_paths,
        gallery_paths,
        rows=rows,
        columns=columns,
        seed=seed,
        query_labels=query_labels,
        gallery_labels=gallery_labels,
        form=form,
        protocol=protocol,
        words=words,
    )
    save(figure, path)


def draw_matches(
    ranking: Ranking,
    query_paths: Sequence[str | Path],
    gallery_paths: Sequence[str | Path],
    *,
    rows: int = 10,
    columns: int = 10,
    seed: int = 0,
    query_labels: Sequence[str] = (),
    gallery_labels: Sequence[str] = (),
    form: APForm = "sum",
    protocol: str = "",
    words: Words = PEOPLE,
) -> Figure:
    """A row for each query: the query, then its nearest candidates with rank and distance.

    Args:
        ranking: of Q queries; its `top_indices` [Q, K] are the columns, so at most K are drawn.
        query_paths: [Q] image files. One that cannot be read gets a grey plate.
        gallery_paths: [G] image files, likewise.
        rows: how many queries; chosen by `seed` among those with a match, drawn in their own order.
        columns: how many candidates of each.
        seed: of the choice of queries.
        query_labels: [Q] or empty; a short line under each query, e.g. "id 7, cam 1".
        gallery_labels: [G] or empty; the same under each candidate.
        form: of the average precision under each query.
        protocol: how the ranking was made.
        words: what the legend calls a match.

    Raises:
        DataError: no query has a match, or there are not as many paths as queries.
    """
    if len(query_paths) != ranking.num_queries:
        raise DataError(
            f"{len(query_paths)} paths for {ranking.num_queries} queries",
            "a picture could stand beside the wrong ranking",
            "give the paths in the order of the embeddings",
        )
    scored = np.flatnonzero(ranking.num_matches)
    if len(scored) == 0:
        raise DataError(
            f"none of {ranking.num_queries} queries has a match",
            "sampled matches show queries that count in the figures, and none does",
            "give query and gallery the same identities, seen by at least two cameras",
        )
    chosen = np.sort(np.random.default_rng(seed).choice(scored, min(rows, len(scored)), replace=False))
    columns = min(columns, ranking.top_indices.shape[1])
    queries = [_picture(query_paths[q]) for q in chosen]
    title = f"Sampled matches: {len(chosen)} of {len(scored):,} scored queries (seed {seed})"
    aspect = typical_aspect([picture.shape[:2] for picture in queries if picture is not None])
    sheet = _Sheet(len(chosen), columns, aspect=aspect, title=title, protocol=protocol, words=words)
    precision = average_precision(ranking, form=form)
    for row, q in enumerate(chosen):
        lines = [f"query, AP {100 * precision[q]:.0f} %", *_cut(query_labels[q : q + 1])]
        sheet.tile((row, 0), queries[row], lines, colour=BLUE)
        for column in range(columns):
            place, index = (row, column + 1), int(ranking.top_indices[q, column])
            if index < 0:
                sheet.tile(place, None, [], colour=PALE, empty="no further\ncandidate")
                continue
            lines = [
                f"rank {column + 1}: {ranking.top_distances[q, column]:.3f}",
                *_cut(gallery_labels[index : index + 1]),
            ]
            if ranking.top_matches[q, column]:
                sheet.tile(place, _picture(gallery_paths[index]), lines, colour=GREEN, mark=RIGHT_MARK)
            else:
                sheet.tile(place, _picture(gallery_paths[index]), lines, colour=RED, mark=WRONG_MARK)
    return sheet.finished()


class _Sheet:
    """The page: heading, legend, then a row of places for each query. Sizes in inches."""

    def __init__(self, rows: int, columns: int, *, aspect: float, title: str, protocol: str, words: Words) -> None:
        self._tile_height = _TILE_INCHES * aspect
        self._step_x, self._step_y = _TILE_INCHES + 0.14, self._tile_height + 0.42
        self._left, self._gap = 0.2, 0.2  # margin; between a query and its candidates
        self._width = max(2 * self._left + (columns + 1) * self._step_x + self._gap - 0.14, 5.2)
        small_print = wrapped(protocol, self._width - 2 * self._left)
        self._top = 0.87 + 0.15 * len(small_print)  # heading and legend
        self._height = self._top + rows * self._step_y + 0.06
        self.figure = new_figure(self._width, self._height, dpi=_DPI)
        heading(self.figure, self._left, title, small_print)
        self._axes = self.figure.add_axes((0, 0, 1, 1))  # one for all: axes of their own for each picture take seconds
        self._axes.axis("off")
        self._legend(words.identity)

    def tile(
        self,
        place: tuple[int, int],
        picture: Picture | None,
        lines: Sequence[str],
        *,
        colour: str,
        mark: str = "",
        empty: str = "no\npicture",
    ) -> None:
        """One picture in its frame, a mark on its corner and lines of text below; a grey plate where there is none.

        Args:
            place: row and column; column 0 is the query's. It is the artists' `gid`, as "row,column".
            picture: drawn whole and undistorted.
            lines: below it.
            colour: of the frame.
            mark: on the upper left corner.
            empty: on the plate.
        """
        row, column = place
        x = self._left + column * self._step_x + (self._gap if column else 0.0)
        y = self._height - self._top - row * self._step_y - self._tile_height
        width, height = _TILE_INCHES, self._tile_height
        gid = f"{row},{column}"
        centred: dict[str, Any] = {"ha": "center", "fontsize": 6.5, "gid": gid}
        self._axes.text(x + width / 2, y - 0.07, "\n".join(lines), va="top", color=INK, linespacing=1.25, **centred)
        if picture is None:
            self._axes.text(x + width / 2, y + height / 2, empty, va="center", color=GREY, **centred)
        else:
            scale = min(width / picture.shape[1], height / picture.shape[0])
            x, width = x + (width - scale * picture.shape[1]) / 2, scale * picture.shape[1]
            y, height = y + (height - scale * picture.shape[0]) / 2, scale * picture.shape[0]
            box = (x, x + width, y, y + height)
            self._axes.imshow(picture, extent=box, aspect="auto", interpolation="antialiased", gid=gid)
        self._frame(x, y, width, height, colour, gid, plate=picture is None)
        if mark:
            self._axes.text(x, y + height, mark, zorder=5, gid=gid, **_badge(colour))

    def finished(self) -> Figure:
        """The page, one unit of its axes an inch."""
        self._axes.set(xlim=(0, self._width), ylim=(0, self._height))  # pictures have moved them
        return self.figure

    def _frame(self, x: float, y: float, width: float, height: float, colour: str, gid: str, *, plate: bool) -> None:
        from matplotlib.patches import Rectangle

        fill = "#F4F4F4" if plate else "none"
        self._axes.add_patch(
            Rectangle((x, y), width, height, facecolor=fill, edgecolor=colour, linewidth=2.6, zorder=2, gid=gid)
        )

    def _legend(self, identity: str) -> None:
        y = 1 - (self._top - 0.26) / self._height
        x = self._left + 0.08
        for mark, colour, words in (
            (" ", BLUE, "query"),
            (RIGHT_MARK, GREEN, f"same {identity}"),
            (WRONG_MARK, RED, f"another {identity}"),
        ):
            self.figure.text(x / self._width, y, mark, **_badge(colour))
            self.figure.text((x + 0.13) / self._width, y, words, fontsize=8, va="center", color=INK)
            x += 0.42 + 0.06 * len(words)
        self.figure.text(x / self._width, y, "below: rank and distance", fontsize=8, va="center", color=GREY)


def _cut(labels: Sequence[str]) -> list[str]:
    """Labels that fit below a picture."""
    return [shortened(label, _LABEL) for label in labels]


def _picture(path: str | Path) -> Picture | None:
    """uint8 [H, W, 3], shrunk for the page; None where the file is missing or cannot be read."""
    try:
        image = decode(Path(path).read_bytes(), name=str(path))
    except (OSError, DataError):
        return None
    image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    return np.asarray(image)


def _badge(colour: str) -> dict[str, Any]:
    """A white mark on a round plate, as options of `text`."""
    plate = {"boxstyle": "circle,pad=0.22", "facecolor": colour, "edgecolor": "white", "linewidth": 0.8}
    return {"bbox": plate, "fontsize": 7, "ha": "center", "va": "center", "color": "white", "family": "monospace"}
