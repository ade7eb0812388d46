"""The classes of a recognition page: which are confused with which, example by example, and the worst in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reid.report.thumbnails import Album
from reid.retrieval.class_table import ClassFigures, ClassTable, Confusions, class_name
from reid.retrieval.embeddings import Embeddings, IntArray
from reid.retrieval.metrics import first_match_rank
from reid.retrieval.ranking import Ranking

MOST_CLASSES = 50
"""Rows of the table by class; the worst are kept."""

MOST_CONFUSED = 12
"""Classes on each side of the matrix."""

MOST_EXAMPLES = 12
"""Pairs of confused classes that are shown by pictures."""


@dataclass(frozen=True)
class MatrixCell:
    """How often one class was answered for another.

    Attributes:
        count: queries.
        shade: their part of the row's scored queries, 0 to 100.
        right: the answer is the query's class.
    """

    count: int
    shade: int
    right: bool


@dataclass(frozen=True)
class Confusion:
    """A class that was taken for another, with an example: the query that the wrong answer was nearest to.

    Attributes:
        asked: name of the class.
        answered: name of the one it was taken for.
        count: queries of the class that were.
        scored: queries of the class that could be scored.
        query: path of the example; empty without paths, as the next two.
        answer: path of its nearest reference.
        right: path of the nearest reference of its own class.
        right_rank: where that one stands.
    """

    asked: str
    answered: str
    count: int
    scored: int
    query: str
    answer: str
    right: str
    right_rank: int

    @property
    def paths(self) -> list[str]:
        """The pictures of the example."""
        return [path for path in (self.query, self.answer, self.right) if path]


@dataclass(frozen=True)
class ClassSection:
    """What the page says of classes.

    Attributes:
        rows: the worst classes: name, figures, and the name of the class it is most confused with.
        left_out: classes that are not among them.
        columns: names of the most confused classes.
        matrix: for each of them its cells, by the same classes as answers, and the answers of any other class.
        confusions: pairs of two classes that were confused, the most frequent first.
        num_confusions: such pairs in all.
    """

    rows: list[tuple[str, ClassFigures, str]]
    left_out: int
    columns: list[str]
    matrix: list[tuple[str, list[MatrixCell], int]]
    confusions: list[Confusion]
    num_confusions: int

    def pictures(self) -> list[list[str]]:
        """The pictures that the section would show, by example."""
        return [confusion.paths for confusion in self.confusions]


def class_section(table: ClassTable, ranking: Ranking, query: Embeddings, gallery: Embeddings) -> ClassSection:
    """The worst of all classes, so that a page of a thousand of them can be read."""
    wrong = table.confusions.wrong()
    worst = _worst_first(table.classes)
    confused = _most_confused(wrong)
    return ClassSection(
        rows=[
            (
                class_name(table.names, one.pid),
                one,
                "" if one.confused_with is None else class_name(table.names, one.confused_with),
            )
            for one in worst[:MOST_CLASSES]
        ],
        left_out=max(0, len(worst) - MOST_CLASSES),
        columns=[class_name(table.names, pid) for pid in confused],
        matrix=_matrix(table, confused),
        confusions=_examples(table, wrong, ranking, query, gallery),
        num_confusions=len(wrong.counts),
    )


def picture_of(album: Album, path: str) -> int:
    """Position of a picture in the page, -1 where it has none."""
    return album.position(path) if path else -1


def _worst_first(classes: Sequence[ClassFigures]) -> list[ClassFigures]:
    """By precision at 1, then average precision, then number; classes that are not asked for last."""

    def badness(one: ClassFigures) -> tuple[bool, float, float, int]:
        return (one.precision_at_1 is None, one.precision_at_1 or 0.0, one.mean_average_precision or 0.0, one.pid)

    return sorted(classes, key=badness)


def _most_confused(wrong: Confusions) -> list[int]:
    """Classes of the most frequent confusions, in the order of their numbers."""
    chosen: set[int] = set()
    for pair in zip(wrong.query_pids.tolist(), wrong.answer_pids.tolist(), strict=True):
        if len(chosen.union(pair)) > MOST_CONFUSED:
            break
        chosen.update(pair)
    return sorted(chosen)


def _matrix(table: ClassTable, confused: list[int]) -> list[tuple[str, list[MatrixCell], int]]:
    found = table.confusions
    counts = np.zeros((len(confused), len(confused)), np.int64)
    totals = np.zeros(len(confused), np.int64)
    place = {pid: at for at, pid in enumerate(confused)}
    for asked, answered, count in zip(
        found.query_pids.tolist(), found.answer_pids.tolist(), found.counts.tolist(), strict=True
    ):
        if (row := place.get(asked)) is not None:
            totals[row] += count
            if (column := place.get(answered)) is not None:
                counts[row, column] = count
    shades = np.round(100 * counts / np.maximum(totals, 1)[:, None]).astype(int)  # [C, C] / [C, 1] -> [C, C]
    return [
        (
            class_name(table.names, pid),
            [MatrixCell(*cell, right=column == row) for column, cell in enumerate(zip(*values, strict=True))],
            int(totals[row] - counts[row].sum()),
        )
        for row, (pid, values) in enumerate(
            zip(confused, zip(counts.tolist(), shades.tolist(), strict=True), strict=True)
        )
    ]


def _examples(
    table: ClassTable, wrong: Confusions, ranking: Ranking, query: Embeddings, gallery: Embeddings
) -> list[Confusion]:
    scored = np.flatnonzero(ranking.num_matches)
    answers: IntArray = ranking.top_indices[scored, 0]
    ranks = first_match_rank(ranking)
    examples = []
    for asked, answered, count in zip(
        *(column[:MOST_EXAMPLES].tolist() for column in (wrong.query_pids, wrong.answer_pids, wrong.counts)),
        strict=True,
    ):
        own = query.pids[scored] == asked
        rows = np.flatnonzero(own & (gallery.pids[answers] == answered))
        at = rows[np.argmin(ranking.top_distances[scored[rows], 0])]
        row = int(scored[at])
        examples.append(
            Confusion(
                asked=class_name(table.names, asked),
                answered=class_name(table.names, answered),
                count=count,
                scored=int(own.sum()),
                query=_path(query, row),
                answer=_path(gallery, int(answers[at])),
                right=_path(gallery, int(ranking.match_rows[ranking.match_offsets[row]])),
                right_rank=int(ranks[row]),
            )
        )
    return examples


def _path(side: Embeddings, row: int) -> str:
    return side.paths[row] if side.paths else ""
