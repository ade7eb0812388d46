"""What of a test set a page of limited size holds: which queries are listed, and which of them have pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid.report.choice import by_interest, worst_first
from reid.report.ranked_lists import RankedLists
from reid.report.thumbnails import Album, ImageSource
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.evaluation import Evaluation
from reid.retrieval.metrics import Float64Array
from reid.retrieval.ranking import Ranking

_MOST_LISTED = 5_000  # queries
_LISTS_SHARE = 0.35  # of the budget, for names and numbers
_COLUMNS = 10  # candidates of a query


@dataclass(frozen=True)
class Coverage:
    """How much of the test set a page shows.

    Attributes:
        queries: in the test set.
        listed: of these, on the page.
        pictured: of the listed, those whose pictures, and their candidates', are inside.
        worst: of the pictured, so many are the worst queries without a gap; the rest is spread over all others.
        pictures: distinct pictures inside.
        missing: pictures that could not be read.
        named: whether the embeddings say where their pictures are.
        columns: candidates of a query.
    """

    queries: int
    listed: int
    pictured: int
    worst: int
    pictures: int
    missing: int
    named: bool
    columns: int


def fill(
    evaluation: Evaluation,
    ranking: Ranking,
    query: Embeddings,
    gallery: Embeddings,
    images: ImageSource,
    *,
    first: Sequence[Sequence[str]] = (),
    budget_bytes: int,
) -> tuple[RankedLists, Album, Coverage]:
    """As many queries as may be listed, and as many of their pictures as then fit.

    Args:
        evaluation: of the ranking.
        ranking: of query against gallery.
        query: labels and paths.
        gallery: labels and paths.
        images: the picture behind a path.
        first: groups of further pictures of the page, which come before those of the queries.
        budget_bytes: for lists and pictures together, as they stand in the page.
    """
    precision = evaluation.per_query.average_precision
    columns = min(_COLUMNS, ranking.top_indices.shape[1])
    interesting = by_interest(precision)
    listed = min(len(interesting), _MOST_LISTED)
    while True:
        lists = RankedLists(ranking, evaluation, query, gallery, interesting[:listed], columns)
        size = _bytes(lists.values())
        if size <= budget_bytes * _LISTS_SHARE or listed == 1:
            break
        listed = max(1, min(listed - 1, int(0.95 * listed * budget_bytes * _LISTS_SHARE / size)))
    groups = [lists.paths_of(row) for row in lists.rows.tolist()]
    positions = 8 * sum(map(len, groups))  # of pictures, not in the lists yet
    wanted = (path for group in (*first, *groups) for path in group)
    album = Album(images, wanted, budget_bytes - size - positions)
    album.add(first)
    pictured = album.add(groups)
    coverage = Coverage(
        queries=ranking.num_queries,
        listed=listed,
        pictured=pictured,
        worst=_leading(precision, lists.rows[:pictured].tolist()),
        pictures=len(album.pictures),
        missing=album.missing,
        named=bool(query.paths or gallery.paths),
        columns=columns,
    )
    return lists, album, coverage


def _leading(average_precision: Float64Array, rows: list[int]) -> int:
    """How many of these queries are the worst of all, counted until the first that is not there."""
    present = np.zeros(len(average_precision) + 1, np.bool_)
    present[rows] = True
    return int(np.argmin(np.append(present[worst_first(average_precision)], False)))


def _bytes(values: Any) -> int:
    """Size in the page; `tojson` writes the five characters that HTML knows with six each."""
    text = json.dumps(values)
    return len(text) + 5 * sum(map(text.count, "<>&'"))
