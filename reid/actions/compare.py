"""`reid compare`: which queries one model wins and the other loses, and how sure the difference is."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reid.actions.parent import run_folder
from reid.actions.protocol import protocol_words
from reid.errors import DataError
from reid.files import write_json
from reid.report.comparison import write_comparison
from reid.retrieval.comparison import Comparison, compare_queries
from reid.retrieval.query_pairs import ScoredQuery
from reid.spec.experiment import ExperimentSpec


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison and where it is from.

    Attributes:
        comparison: of evaluation A with B.
        folder_a: of A's files.
        folder_b: of B's files.
        files: what was written.
    """

    comparison: Comparison
    folder_a: Path
    folder_b: Path
    files: dict[str, Path] = field(default_factory=dict)


def compare(
    spec: ExperimentSpec,
    run_a: str,
    run_b: str,
    *,
    out: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ComparisonResult:
    """Compares two evaluations of one test set; writes nothing unless `out` is given.

    Args:
        spec: its `mlflow` section says where runs are looked up.
        run_a: a results folder, its evaluate folder, or an MLflow run id.
        run_b: likewise.
        out: folder for `compare.html` and `comparison.json`.
        resamples: of the paired bootstrap over query identities.
        seed: of the bootstrap.

    Raises:
        DataError: a run has no evaluation, or the two measured different test sets.
        CheckpointError: there is no such folder, and it cannot be a run id.
        TrackingError: MLflow does not know the run.
    """
    folders = [_evaluation_folder(run_folder(spec, run, of="evaluation"), run) for run in (run_a, run_b)]
    metrics = [_metrics(folder) for folder in folders]
    _require_same_test_set(folders, metrics)
    names = _names(folders)
    comparison = compare_queries(
        _queries(folders[0]),
        _queries(folders[1]),
        name_a=names[0],
        name_b=names[1],
        protocol=_protocol_lines(metrics),
        notes=_protocol_notes(metrics),
        resamples=resamples,
        seed=seed,
    )
    files: dict[str, Path] = {}
    if out is not None:
        files = {"comparison": out / "comparison.json", "page": out / "compare.html"}
        write_json(files["comparison"], comparison.to_dict())
        write_comparison(files["page"], comparison)
    return ComparisonResult(comparison, folders[0], folders[1], files)


def _evaluation_folder(folder: Path, run: str) -> Path:
    found = [place for place in (folder, folder / "evaluate") if (place / "queries.csv").is_file()]
    if not found:
        raise DataError(
            f"{run} has no evaluation: there is no queries.csv in {folder} nor in {folder / 'evaluate'}",
            "runs are compared by what each of their queries found",
            "run evaluate for it, with this version if an older one did",
        )
    return found[0]


def _names(folders: list[Path]) -> tuple[str, str]:
    """Short names of the two: A and B, with the first part of their paths from the end that differs."""
    a, b = (folder.absolute().parts[::-1] for folder in folders)
    parts = next((pair for pair in zip(a, b, strict=False) if pair[0] != pair[1]), ("", ""))
    return (f"A ({parts[0]})", f"B ({parts[1]})") if all(parts) else ("A", "B")


def _metrics(folder: Path) -> dict[str, Any]:
    with _reading(folder / "metrics.json"):
        values: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        protocol = dict(values["protocol"])
        return {"test_set": str(values["test_set"]), "protocol": protocol, "words": protocol_words(protocol)}


def _require_same_test_set(folders: list[Path], metrics: list[dict[str, Any]]) -> None:
    a, b = (one["test_set"] for one in metrics)
    if a != b:
        raise DataError(
            f"{folders[0]} measured the test set {a[:12]}, and {folders[1]} the test set {b[:12]}",
            "figures on different query or gallery images say nothing of the models",
            "evaluate both on the same query and gallery, given in the same way (images, or files of embeddings)",
        )


def _protocol_lines(metrics: list[dict[str, Any]]) -> list[str]:
    """How both were measured, or how each was where that differs."""
    a, b = (one["words"] for one in metrics)
    return [f"Both: {a}."] if a == b else [f"A: {a}.", f"B: {b}."]


def _protocol_notes(metrics: list[dict[str, Any]]) -> list[str]:
    a, b = (one["protocol"] for one in metrics)
    return [
        f"Measured differently: {key} is {a.get(key, 'not said')} for A and {b.get(key, 'not said')} for B."
        for key in dict.fromkeys([*a, *b])
        if a.get(key) != b.get(key)
    ]


def _queries(folder: Path) -> list[ScoredQuery]:
    """By the number of their row, whatever the order of the lines."""
    path = folder / "queries.csv"
    with _reading(path), path.open(encoding="utf-8", newline="") as file:
        return [_query(line) for line in sorted(csv.DictReader(file), key=lambda line: int(line["row"]))]


def _query(line: Mapping[str, str]) -> ScoredQuery:
    return ScoredQuery(
        path=line["path"],
        pid=int(line["pid"]),
        camid=int(line["camid"]),
        first_match_rank=int(line["first_match_rank"]) if line["first_match_rank"] else None,
        average_precision=float(line["average_precision"]) if line["average_precision"] else None,
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read: {type(error).__name__}: {error}",
            "it is missing, damaged, or was written by an older version",
            "run evaluate again",
        ) from error
