"""Contact sheets: a query and its answers on lines, what their probabilities assume, and sheets of bounded length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from reid.report.contact_sheet import draw_contact_sheet, write_contact_sheets
from reid.retrieval.answers import Answer, Neighbour, prior_words

COLOURS = {"query.png": "#ff0000", "1.png": "#00ff00", "2.png": "#0000ff"}


def picture(path: str) -> Image.Image | None:
    """A plate of the path's colour; none for other paths."""
    return Image.new("RGB", (32, 64), COLOURS[path]) if path in COLOURS else None


def answer(count: int) -> Answer:
    nearest = tuple(
        Neighbour(rank=rank, row=rank, path=f"{rank}.png", pid=rank, camid=1, distance=0.1 * rank, probability=0.9)
        for rank in range(1, count + 1)
    )
    return Answer("query.png", "query.png", nearest)


def left_edge(sheet: Image.Image, colour: str) -> int:
    """Pixels from the left to the first of a colour."""
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return int(np.flatnonzero((np.asarray(sheet) == wanted).all(axis=2).any(axis=0))[0])


def top_edge(sheet: Image.Image, colour: str) -> int:
    """Pixels from the top to the first of a colour."""
    return left_edge(sheet.transpose(Image.Transpose.TRANSPOSE), colour)


def test_the_query_stands_left_and_its_neighbours_follow_by_rank() -> None:
    sheet = draw_contact_sheet([answer(3)], title="Nearest", images=picture)

    edges = [left_edge(sheet, colour) for colour in COLOURS.values()]
    assert edges == sorted(edges)


def test_notes_are_drawn_whole_on_lines_between_title_and_pictures() -> None:
    sentence = prior_words(0.5)
    one, two, blank = (
        draw_contact_sheet([answer(3)], title="Nearest", notes=notes, images=picture)
        for notes in ([sentence], [sentence, sentence], ["", ""])
    )

    left, top, right, bottom = ImageChops.difference(two, blank).getbbox() or (0, 0, 0, 0)
    assert 30 < top < bottom < top_edge(two, COLOURS["query.png"])
    assert right - left > 400
    assert right < two.width  # the sentence is there to its end
    assert two.height - one.height == top_edge(two, COLOURS["query.png"]) - top_edge(one, COLOURS["query.png"]) > 10


def test_more_neighbours_than_columns_go_on_below() -> None:
    ten, eleven = (draw_contact_sheet([answer(count)], title="", images=picture) for count in (10, 11))

    assert eleven.width == ten.width
    assert eleven.height > 1.5 * ten.height


def test_many_queries_are_parted_into_numbered_sheets(tmp_path: Path) -> None:
    written = write_contact_sheets([answer(1)] * 25, tmp_path, title="Nearest", images=picture)

    assert [path.name for path in written] == ["contact_sheet_1.png", "contact_sheet_2.png"]
    first, second = (Image.open(path) for path in written)
    assert first.height > second.height
