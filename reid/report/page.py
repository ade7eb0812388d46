"""The evaluation as one HTML page: figures, charts, camera pairs, and each query with what was found for it.

Everything is read from one Ranking and its Evaluation, and everything is inside the file: it opens from a disk, an
archive or MLflow, without a server and without a network. It stays below `LARGEST_PAGE`, whatever the test set; what
then does not fit, the page counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reid.files import write_text
from reid.labels import DISTRACTOR_PID
from reid.report.charts import average_precision_chart, cmc_chart, distance_chart, roc_chart
from reid.report.contents import fill
from reid.report.matrix import camera_matrices
from reid.report.templating import render_page
from reid.report.thumbnails import MIME, ImageSource, open_file
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.evaluation import Evaluation
from reid.retrieval.ranking import Ranking

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
    "fpr_0.001": "at most one pair of different people in 1,000 is accepted",
    "fpr_0.01": "at most one pair of different people in 100 is accepted; there are too few pairs to measure less",
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
        images: the picture behind a path, None where there is none. Called from several threads.
    """
    started = time.perf_counter()
    budget = LARGEST_PAGE - _SHELL_BYTES
    lists, album, coverage = fill(evaluation, ranking, query, gallery, images, budget_bytes=budget)
    metrics, verification = evaluation.metrics, evaluation.verification
    page = render_page(
        "report.html.j2",
        {
            "title": title,
            "protocol": {_words(name): _WORDS.get(value, value) for name, value in protocol.items()},
            "facts": _facts(query, gallery),
            "metrics": metrics,
            "headlines": [
                (word, metrics.figures()[key], evaluation.intervals.get(key)) for word, key in _HEADLINES.items()
            ],
            "has_intervals": bool(evaluation.intervals),
            "verification": verification,
            "rule": _RULES.get(verification.suggested_rule, "") if verification else "",
            "charts": {
                "cmc": cmc_chart(metrics.cmc, evaluation.intervals),
                "ap": average_precision_chart(evaluation.per_query.average_precision),
                "roc": roc_chart(verification) if verification else "",
                "distances": distance_chart(verification) if verification else "",
            },
            "cameras": camera_matrices(evaluation.camera_pairs) if evaluation.camera_pairs else [],
            "cameras_left_out": evaluation.camera_pairs_left_out,
            "coverage": coverage,
            "exclude": ranking.exclude,
            "data": {"mime": MIME, "aspect": album.aspect, **lists.values(album)},
        },
        script="report.js",
    )
    write_text(path, page)
    log.info(
        "%s: %d of %d queries listed, %d with a row of pictures (plates where none is found), %.1f MB, %.1f s",
        path, coverage.listed, coverage.queries, coverage.pictured, len(page.encode()) / 1e6,
        time.perf_counter() - started,
    )  # fmt: skip
    return path


def _words(name: str) -> str:
    return name.replace("re_ranking", "re-ranking").replace("_", " ")


def _facts(query: Embeddings, gallery: Embeddings) -> dict[str, int]:
    """Sizes of the test set."""
    return {
        "queries": len(query),
        "gallery images": len(gallery),
        "query identities": len(np.unique(query.pids[query.pids != DISTRACTOR_PID])),
        "distractors": int(np.count_nonzero(gallery.pids == DISTRACTOR_PID)),
        "cameras": len(np.union1d(query.camids, gallery.camids)),
    }
