"""The files of an evaluation: figures as JSON and CSV, pictures and the page, all of one `Evaluation` and `Ranking`."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.actions.embedded import Embedded
from reid.actions.protocol import protocol_line
from reid.files import write_json, write_text
from reid.labels import DISTRACTOR_PID
from reid.report.plots import plot_cmc, plot_matches
from reid.report.words import CLASSES, PEOPLE, Words
from reid.retrieval.class_table import CLASS_COLUMNS, CONFUSION_COLUMNS, class_name
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.evaluation import Evaluation
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognised import write_result_csv
from reid.retrieval.recognition_evaluation import Recognition
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)

TEST = "test"
"""What TAO puts before the names of an evaluation's figures."""

_QUERY_COLUMNS = ("matches", "first_match_rank", "average_precision", "inverse_negative_penalty")
_CAMERA_COLUMNS = ("query_camera", "gallery_camera", "queries", "mAP", "cmc_rank_1")


@dataclass(frozen=True)
class Measured:
    """A test set, its ranking and what was measured on it.

    Attributes:
        embedded: query and gallery.
        ranking: of the gallery for each query.
        evaluation: the figures.
        protocol: how they were measured.
        recognition: what was measured of classes; None for people.
    """

    embedded: Embedded
    ranking: Ranking
    evaluation: Evaluation
    protocol: dict[str, Any]
    recognition: Recognition | None = None

    @property
    def figures(self) -> dict[str, float]:
        """The headline figures, by name."""
        told = self.recognition.metrics.figures(TEST) if self.recognition else {}
        return {**self.evaluation.metrics.figures(), **told}

    @property
    def words(self) -> Words:
        """What to call that which images have in common."""
        return CLASSES if self.recognition else PEOPLE

    @property
    def small_print(self) -> str:
        """The protocol as pictures show it."""
        return protocol_line(
            self.protocol,
            num_scored=self.evaluation.metrics.num_scored,
            num_gallery=len(self.embedded.gallery),
            images=f"{self.words.image}s",
        )


def write_evaluation(spec: ExperimentSpec, folder: Path, measured: Measured) -> dict[str, Path]:
    """Writes the files; one that does not apply is removed, so that none of an earlier evaluation is left.

    Returns:
        The files that were written, by a short name.
    """
    own = spec.evaluate
    targets = {
        "metrics": folder / "metrics.json",
        "cmc": folder / "cmc.csv",
        "queries": folder / "queries.csv",
        "camera_pairs": folder / "camera_pairs.csv",
        "per_class": folder / "per_class.csv",
        "confusions": folder / "confusions.csv",
        "answers": folder / "result.csv",
        "verification": folder / "verification.json",
        "cmc_curve": Path(own.output_cmc_curve_plot or folder / "cmc_curve.png"),
        "sampled_matches": Path(own.output_sampled_matches_plot or folder / "sampled_matches.png"),
        "report": folder / "report.html",
    }
    evaluation, embedded = measured.evaluation, measured.embedded
    curve = evaluation.metrics.cmc[: spec.re_ranking.max_rank]
    write_json(targets["metrics"], _facts(measured))
    write_text(targets["cmc"], _table(("rank", "matching_rate"), enumerate(curve.tolist(), start=1)))
    write_text(targets["queries"], _query_table(measured))
    plot_cmc(curve, targets["cmc_curve"], mean_ap=evaluation.metrics.mean_ap, protocol=measured.small_print)
    absent = set()
    if evaluation.camera_pairs is not None:
        cells = evaluation.camera_pairs.cells()
        rows = ([cell[name] for name in _CAMERA_COLUMNS] for cell in cells)
        write_text(targets["camera_pairs"], _table(_CAMERA_COLUMNS, rows))
    else:
        absent.add("camera_pairs")
    if (recognition := measured.recognition) is not None:
        table = recognition.table
        write_text(targets["per_class"], _table(CLASS_COLUMNS, table.rows()))
        write_text(targets["confusions"], _table(CONFUSION_COLUMNS, table.confusions.wrong().rows(table.names)))
    else:
        absent |= {"per_class", "confusions"}
    if recognition is not None and embedded.query.paths:
        write_result_csv(targets["answers"], embedded.query.paths, recognition.answers, recognition.table.names)
    else:
        absent.add("answers")
    if evaluation.verification is not None:
        write_json(targets["verification"], evaluation.verification.to_dict(), indent=None)
    else:
        absent.add("verification")
    if _has_pictures(embedded):
        _draw_matches(spec, measured, targets["sampled_matches"])
    else:
        log.info("none of the images can be found: no %s", targets["sampled_matches"].name)
        absent.add("sampled_matches")
    if own.report:
        _write_report(measured, targets["report"])
    else:
        absent.add("report")
    for name in absent:
        targets.pop(name).unlink(missing_ok=True)
    return targets


def _facts(measured: Measured) -> dict[str, Any]:
    gallery = measured.embedded.gallery
    return {
        **measured.evaluation.to_dict(),
        **(measured.recognition.to_dict(TEST) if measured.recognition else {}),
        "gallery": len(gallery),
        "gallery_distractors": int((gallery.pids == DISTRACTOR_PID).sum()),
        "protocol": measured.protocol,
        "test_set": measured.embedded.test_set,
        **measured.embedded.facts,
    }


def _query_table(measured: Measured) -> str:
    """One row a query, in the order of the embeddings; figures are empty where it has no match."""
    query, figures = measured.embedded.query, measured.evaluation.per_query
    if measured.recognition:
        last, lasts = "class", [class_name(measured.recognition.table.names, pid) for pid in query.pids.tolist()]
    else:
        last, lasts = "camid", query.camids.tolist()
    rows = zip(
        range(len(query)),
        query.paths or [""] * len(query),
        query.pids.tolist(),
        lasts,
        figures.num_matches.tolist(),
        ("" if math.isnan(rank) else int(rank) for rank in figures.first_match_rank.tolist()),
        _blank(figures.average_precision.tolist()),
        _blank(figures.inverse_negative_penalty.tolist()),
        strict=True,
    )
    return _table(("row", "path", "pid", last, *_QUERY_COLUMNS), rows)


def _has_pictures(embedded: Embedded) -> bool:
    return any(Path(path).is_file() for side in (embedded.query, embedded.gallery) for path in side.paths)


def _draw_matches(spec: ExperimentSpec, measured: Measured, path: Path) -> None:
    query, gallery = measured.embedded.query, measured.embedded.gallery
    plot_matches(
        measured.ranking,
        query.paths or [""] * len(query),
        gallery.paths or [""] * len(gallery),
        path,
        rows=spec.re_ranking.num_query,
        columns=spec.re_ranking.max_rank,
        seed=max(spec.train.seed, 0),
        query_labels=_labels(query, measured.embedded.classes),
        gallery_labels=_labels(gallery, measured.embedded.classes),
        form=spec.evaluate.average_precision,
        protocol=measured.small_print,
        words=measured.words,
    )


def _write_report(measured: Measured, path: Path) -> None:
    from reid.report.page import write_report  # jinja2, which training's validation need not have

    write_report(
        path,
        evaluation=measured.evaluation,
        ranking=measured.ranking,
        query=measured.embedded.query,
        gallery=measured.embedded.gallery,
        title="Evaluation",
        protocol={name: str(value) for name, value in measured.protocol.items()},
        recognition=measured.recognition,
    )


def _labels(side: Embeddings, classes: Mapping[int, str]) -> list[str]:
    if classes:
        return [class_name(classes, pid) for pid in side.pids.tolist()]
    return [f"id {pid} cam {camid}" for pid, camid in zip(side.pids.tolist(), side.camids.tolist(), strict=True)]


def _table(columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def _blank(values: Iterable[float]) -> Iterable[object]:
    """Empty where there is no value."""
    return ("" if math.isnan(value) else value for value in values)
