"""Class by class: how often the nearest reference is right, and which other class it shows where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reid.retrieval.embeddings import Embeddings, IntArray
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognition import query_recognition

CLASS_COLUMNS = ("class", "references", "queries", "precision_at_1", "mAP", "confused_with", "confusions")
CONFUSION_COLUMNS = ("class", "answer", "queries")


@dataclass(frozen=True)
class ClassFigures:
    """One class.

    Attributes:
        pid: its number.
        references: gallery images.
        queries: of them, however they were answered.
        precision_at_1: part of its queries whose nearest reference is of it; None without query or reference, as the
            next.
        mean_average_precision: of its queries, among the nearest k (see `QueryRecognition`).
        confused_with: the wrong class that was answered most often, of equal ones the first; None where all was right.
        confusions: how often that was.
    """

    pid: int
    references: int
    queries: int
    precision_at_1: float | None
    mean_average_precision: float | None
    confused_with: int | None
    confusions: int


@dataclass(frozen=True)
class Confusions:
    """Which class was answered how often: the class of the nearest reference of each query that can be scored.

    Attributes:
        query_pids: int64 [n], ascending; the true class.
        answer_pids: int64 [n], ascending for each true class; the answered one.
        counts: int64 [n], queries, at least 1.
    """

    query_pids: IntArray
    answer_pids: IntArray
    counts: IntArray

    def wrong(self) -> Confusions:
        """The pairs of two classes, the most frequent first, then by class."""
        order = np.argsort(-self.counts, kind="stable")
        order = order[(self.query_pids != self.answer_pids)[order]]
        return Confusions(self.query_pids[order], self.answer_pids[order], self.counts[order])

    def rows(self, names: Mapping[int, str]) -> list[tuple[object, ...]]:
        """By `CONFUSION_COLUMNS`."""
        return [
            (class_name(names, asked), class_name(names, answered), count)
            for asked, answered, count in zip(
                self.query_pids.tolist(), self.answer_pids.tolist(), self.counts.tolist(), strict=True
            )
        ]


@dataclass(frozen=True)
class ClassTable:
    """All classes of queries and references.

    Attributes:
        classes: by number.
        confusions: of the first answers.
        names: of the classes.
    """

    classes: tuple[ClassFigures, ...]
    confusions: Confusions
    names: Mapping[int, str]

    def weakest(self, count: int) -> str:
        """In words, the classes with the lowest precision at rank 1, of equal ones the lower mAP first.

        Args:
            count: classes at most; those whose every query was answered rightly, or that have none, are not among them.

        Returns:
            Each with its precision and the answer that was most often wrong; empty where no class had a wrong one.
        """
        wrong = sorted(
            (one.precision_at_1, one.mean_average_precision or 0.0, one.pid, one.confused_with)
            for one in self.classes
            if one.precision_at_1 is not None and one.confused_with is not None
        )
        return ", ".join(
            f"{class_name(self.names, pid)} {precision:.1%} (taken for {class_name(self.names, taken_for)})"
            for precision, _, pid, taken_for in wrong[:count]
        )

    def rows(self) -> list[tuple[object, ...]]:
        """By `CLASS_COLUMNS`; empty text where there is no value."""
        return [
            (
                class_name(self.names, one.pid),
                one.references,
                one.queries,
                "" if one.precision_at_1 is None else one.precision_at_1,
                "" if one.mean_average_precision is None else one.mean_average_precision,
                "" if one.confused_with is None else class_name(self.names, one.confused_with),
                one.confusions,
            )
            for one in self.classes
        ]


def class_table(ranking: Ranking, query: Embeddings, gallery: Embeddings, names: Mapping[int, str]) -> ClassTable:
    """The table of a ranking.

    Args:
        ranking: of query against gallery, with at least one candidate kept for each query.
        query: labels of the queries.
        gallery: labels of the references.
        names: of the classes; one without a name is called by its number.
    """
    pids = np.union1d(query.pids, gallery.pids)
    of_query, scored = query_recognition(ranking), ranking.num_matches > 0
    place = np.searchsorted(pids, query.pids[scored])
    divisor = np.bincount(place, minlength=len(pids))
    sums = [
        np.bincount(place, weights=values[scored], minlength=len(pids)).tolist()
        for values in (of_query.precision_at_1, of_query.average_precision)
    ]
    found = confusions(ranking, query, gallery)
    wrong = found.wrong()
    worst = {  # of each class its most frequent wrong answer: the last to be set is the first of them
        asked: (answered, count)
        for asked, answered, count in zip(
            *(column[::-1].tolist() for column in (wrong.query_pids, wrong.answer_pids, wrong.counts)), strict=True
        )
    }
    classes = [
        ClassFigures(
            pid=pid,
            references=references,
            queries=queries,
            precision_at_1=hits / count if count else None,
            mean_average_precision=precision / count if count else None,
            confused_with=worst[pid][0] if pid in worst else None,
            confusions=worst[pid][1] if pid in worst else 0,
        )
        for pid, references, queries, hits, precision, count in zip(
            pids.tolist(),
            np.bincount(np.searchsorted(pids, gallery.pids), minlength=len(pids)).tolist(),
            np.bincount(np.searchsorted(pids, query.pids), minlength=len(pids)).tolist(),
            *sums,
            divisor.tolist(),
            strict=True,
        )
    ]
    return ClassTable(tuple(classes), found, names)


def confusions(ranking: Ranking, query: Embeddings, gallery: Embeddings) -> Confusions:
    """Counts of the first answers, right ones too."""
    scored = ranking.num_matches > 0
    answers = gallery.pids[ranking.top_indices[scored, 0]]
    pairs, counts = np.unique(np.stack([query.pids[scored], answers], axis=1), axis=0, return_counts=True)
    return Confusions(pairs[:, 0], pairs[:, 1], counts)


def class_name(names: Mapping[int, str], pid: int) -> str:
    """The name of a class, or its number where it has none."""
    return names.get(pid, str(pid))
