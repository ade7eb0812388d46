"""Contact sheets of a search: each query, then the gallery images nearest to it, with rank, distance and probability.

Drawn by Pillow alone: hundreds of small pictures take matplotlib minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from reid.files import atomic_path
from reid.report.canvas import BLUE, GREY, INK, PALE, typical_aspect
from reid.report.thumbnails import ImageSource, open_file
from reid.retrieval.answers import Answer, Neighbour, in_per_cent

_COLUMNS = 10  # gallery images on a line
_LINES = 24  # on one sheet, unless a single query needs more
_TILE = 104  # pixels, width of a picture
_STEP = _TILE + 18
_TEXT = 15  # pixels, a line of text
_NOTE = 18  # pixels, a line below the title
_MARGIN = 24
_GAP = 28  # between a query and what was found
_FRAME = 4


def write_contact_sheets(
    answers: Sequence[Answer], folder: Path, *, title: str, notes: Sequence[str] = (), images: ImageSource = open_file
) -> list[Path]:
    """Writes `contact_sheet.png`, or `contact_sheet_01.png` and so on where one is not enough.

    Args:
        answers: at least one.
        folder: made when missing.
        title: the first line of each sheet.
        notes: the lines below it: what was measured, and what the probabilities assume.
        images: opens a picture; a grey plate stands for one that it does not find.
    """
    pages = list(_pages(answers))
    paths = []
    for number, page in enumerate(pages, start=1):
        name = "contact_sheet.png" if len(pages) == 1 else f"contact_sheet_{number:0{len(str(len(pages)))}d}.png"
        heading = title if len(pages) == 1 else f"{title}, sheet {number} of {len(pages)}"
        with atomic_path(folder / name) as temporary:
            draw_contact_sheet(page, title=heading, notes=notes, images=images).save(temporary, format="PNG")
        paths.append(folder / name)
    return paths


def draw_contact_sheet(
    answers: Sequence[Answer], *, title: str, notes: Sequence[str] = (), images: ImageSource = open_file
) -> Image.Image:
    """One sheet, RGB, as high as it needs to be."""
    wanted = {path for answer in answers for path in (answer.path, *(one.path for one in answer.nearest)) if path}
    pictures = {path: picture for path in sorted(wanted) if (picture := _shrunk(images(path))) is not None}
    columns = max(len(answer.nearest) for answer in answers)
    aspect = typical_aspect([(picture.height, picture.width) for picture in pictures.values()])
    sheet = _Sheet(sum(map(_lines, answers)), columns, aspect, len(notes))
    sheet.words((_MARGIN, _MARGIN - 8), title, size=20)
    for number, note in enumerate(notes):
        sheet.words((_MARGIN, _MARGIN + 18 + number * _NOTE), note, colour=GREY)
    line = 0
    for answer in answers:
        query = pictures.get(answer.path or "")
        sheet.tile(line, 0, query, ["query", Path(answer.query).name], colour=BLUE)
        for place, one in enumerate(answer.nearest):
            at = (line + place // _COLUMNS, 1 + place % _COLUMNS)
            sheet.tile(*at, pictures.get(one.path or ""), _words(one), colour=GREY)
        line += _lines(answer)
    return sheet.image


def _pages(answers: Sequence[Answer]) -> Iterator[list[Answer]]:
    page: list[Answer] = []
    for answer in answers:
        if page and sum(map(_lines, page)) + _lines(answer) > _LINES:
            yield page
            page = []
        page.append(answer)
    yield page


def _lines(answer: Answer) -> int:
    return max(1, math.ceil(len(answer.nearest) / _COLUMNS))


def _words(one: Neighbour) -> list[str]:
    certainty = [] if one.probability is None else [f"same: {in_per_cent(one.probability)} %"]
    return [f"{one.rank}: {one.distance:.3f}", *certainty, one.class_name or _numbers(one)]


def _numbers(one: Neighbour) -> str:
    return " ".join(f"{word} {value}" for word, value in (("id", one.pid), ("cam", one.camid)) if value is not None)


def _shrunk(picture: Image.Image | None) -> Image.Image | None:
    """At most twice the width that is drawn, so that a sheet of large photographs stays small in memory."""
    if picture is not None:
        picture.thumbnail((2 * _TILE, 6 * _TILE))
    return picture


@dataclass
class _Sheet:
    """A white page of lines below a title and notes; column 0 is the query's."""

    lines: int
    columns: int
    aspect: float
    notes: int

    def __post_init__(self) -> None:
        self._tile_height = round(_TILE * self.aspect)
        self._step = self._tile_height + 3 * _TEXT + 22
        width = 2 * _MARGIN + _GAP + (1 + min(self.columns, _COLUMNS)) * _STEP
        self._top = _MARGIN + 24 + self.notes * _NOTE
        self.image = Image.new("RGB", (max(width, 640), self._top + self.lines * self._step + 8), "white")
        self._draw = ImageDraw.Draw(self.image)

    def tile(self, line: int, column: int, picture: Image.Image | None, words: Sequence[str], *, colour: str) -> None:
        """A picture in its frame, whole and undistorted, and lines of text below."""
        x = _MARGIN + column * _STEP + (_GAP if column else 0)
        y = self._top + line * self._step
        box = (x, y, x + _TILE, y + self._tile_height)
        self._draw.rectangle(box, fill=PALE, outline=colour, width=_FRAME if column == 0 else 1)
        if picture is None:
            self.words((x + 24, y + self._tile_height // 2 - _TEXT), "no picture", colour=GREY)
        else:
            room = (_TILE - 2 * _FRAME, self._tile_height - 2 * _FRAME)
            scale = min(room[0] / picture.width, room[1] / picture.height)
            shown = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
            self.image.paste(shown, (x + (_TILE - shown.width) // 2, y + (self._tile_height - shown.height) // 2))
        for number, text in enumerate(words):
            self.words((x, y + self._tile_height + 4 + number * _TEXT), text, width=_TILE + 10)

    def words(
        self, place: tuple[int, int], text: str, *, size: int = 12, colour: str = INK, width: int | None = None
    ) -> None:
        """A line of text, cut with dots where it would be wider than that many pixels."""
        font = ImageFont.load_default(size)
        shown = text
        while width is not None and shown and self._draw.textlength(shown, font) > width:
            shown = f"{shown.rstrip('…')[:-1]}…"
        self._draw.text(place, shown, fill=colour, font=font)
