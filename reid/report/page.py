"""The evaluation as one HTML page: figures, charts, camera pairs, and each query with what was found for it.

Everything is read from one Ranking and its Evaluation, and everything is inside the file: it opens from a disk, an
archive or MLflow, without a server and without a network. It stays below `LARGEST_PAGE`, whatever the test set; what
then does not fit, the page counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reid.files import write_text
from reid.labels import DISTRACTOR_PID
from reid.report.charts import average_precision_chart, cmc_chart, distance_chart, roc_chart
from reid.report.classes import class_section, picture_of
from reid.report.contents import fill
from reid.report.matrix import camera_matrices
from reid.report.templating import render_page
from reid.report.thumbnails import MIME, ImageSource, open_file
from reid.report.words import CLASSES, PEOPLE, Words
from reid.retrieval.class_table import class_name
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.evaluation import Evaluation
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognition import RecognitionMetrics
from reid.retrieval.recognition_evaluation import Recognition

log = logging.getLogger(__name__)

LARGEST_PAGE = 15_000_000
"""Bytes."""

_SHELL_BYTES = 600_000  # style, script, charts and camera pairs at their largest

_HEADLINES = {
    "mAP": "mAP",
    "rank-1": "cmc_rank_1",
    "rank-5": "cmc_rank_5",
    "rank-10": "cmc_rank_10",
    "mINP": "mINP",
}  # word: key
_WORDS = {"True": "yes", "False": "no", "None": "none"}
_RULES = {
    "fpr_0.001": "at most one pair of different {} in 1,000 is accepted",
    "fpr_0.01": "at most one pair of different {} in 100 is accepted; there are too few pairs to measure less",
    "equal_error_rate": "both errors are about equally frequent; there are too few pairs to measure a rate of 1 %",
}


def write_report(
    path: Path,
    *,
    evaluation: Evaluation,
    ranking: Ranking,
    query: Embeddings,
    gallery: Embeddings,
    title: str,
    protocol: Mapping[str, str],
    recognition: Recognition | None = None,
    images: ImageSource = open_file,
) -> Path:
    """Writes the page, whole or not at all.

    Args:
        path: the `.html` file.
        evaluation: of the ranking.
        ranking: of query against gallery.
        query: labels and paths of the queries.
        gallery: labels and paths of the gallery. Without paths, or where a picture is missing, a plate with the label
            stands for it.
        title: of the page.
        protocol: how the figures were measured, shown as name and value.
        recognition: for references of named classes: its figures lead the page, classes have names, and their
            confusions stand in the place of camera pairs.
        images: the picture behind a path, None where there is none. Called from several threads.
    """
    started = time.perf_counter()
    budget = LARGEST_PAGE - _SHELL_BYTES
    section = class_section(recognition.table, ranking, query, gallery) if recognition else None
    first = section.pictures() if section else ()
    lists, album, coverage = fill(evaluation, ranking, query, gallery, images, first=first, budget_bytes=budget)
    metrics, verification = evaluation.metrics, evaluation.verification
    words = CLASSES if recognition else PEOPLE
    values = lists.values(album)
    page = render_page(
        "report.html.j2",
        {
            "title": title,
            "protocol": {_words(name): _WORDS.get(value, value) for name, value in protocol.items()},
            "words": words,
            "facts": _class_facts(query, gallery) if recognition else _facts(query, gallery),
            "metrics": metrics,
            "headlines": _recognition_headlines(recognition.metrics) if recognition else _headlines(evaluation),
            "recognition": recognition.metrics if recognition else None,
            "section": section,
            "open_set": recognition.open_set if recognition else None,
            "picture": partial(picture_of, album),
            "has_intervals": bool(evaluation.intervals),
            "verification": verification,
            "rule": _RULES.get(verification.suggested_rule, "").format(words.others) if verification else "",
            "charts": {
                "cmc": cmc_chart(metrics.cmc, evaluation.intervals),
                "ap": average_precision_chart(evaluation.per_query.average_precision),
                "roc": roc_chart(verification, words) if verification else "",
                "distances": distance_chart(verification) if verification else "",
            },
            "cameras": camera_matrices(evaluation.camera_pairs) if evaluation.camera_pairs else [],
            "cameras_left_out": evaluation.camera_pairs_left_out,
            "coverage": coverage,
            "exclude": ranking.exclude,
            "data": {"mime": MIME, "aspect": album.aspect, **values, **_named(words, recognition, values)},
        },
        script="report.js",
    )
    write_text(path, page)
    log.info(
        "%s: %d of %d queries listed, %d with their ranking (a plate where there is no picture), %.1f MB, %.1f s",
        path, coverage.listed, coverage.queries, coverage.pictured, len(page.encode()) / 1e6,
        time.perf_counter() - started,
    )  # fmt: skip
    return path


def _headlines(evaluation: Evaluation) -> list[tuple[str, float, tuple[float, float] | None]]:
    """Word, value and interval of each card."""
    figures = evaluation.metrics.figures()
    return [(word, figures[key], evaluation.intervals.get(key)) for word, key in _HEADLINES.items()]


def _recognition_headlines(metrics: RecognitionMetrics) -> list[tuple[str, float, None]]:
    """The same of recognition, which has no intervals."""
    return [(word, value, None) for word, value in metrics.figures().items()]


def _named(words: Words, recognition: Recognition | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script calls things; the names of the classes that it shows, or None for numbered identities."""
    if recognition is None:
        return {"words": vars(words), "classes": None}
    shown = {query["pid"] for query in values["queries"]} | set(values["gallery"]["pid"])
    names = {pid: class_name(recognition.table.names, pid) for pid in sorted(shown)}
    return {"words": vars(words), "classes": names}


def _words(name: str) -> str:
    return name.replace("re_ranking", "re-ranking").replace("_", " ")


def _class_facts(query: Embeddings, gallery: Embeddings) -> dict[str, int]:
    """Sizes of a test set of classes."""
    return {
        "queries": len(query),
        "references": len(gallery),
        "query classes": len(np.unique(query.pids)),
        "reference classes": len(np.unique(gallery.pids)),
    }


def _facts(query: Embeddings, gallery: Embeddings) -> dict[str, int]:
    """Sizes of the test set."""
    return {
        "queries": len(query),
        "gallery images": len(gallery),
        "query identities": len(np.unique(query.pids[query.pids != DISTRACTOR_PID])),
        "distractors": int(np.count_nonzero(gallery.pids == DISTRACTOR_PID)),
        "cameras": len(np.union1d(query.camids, gallery.camids)),
    }
