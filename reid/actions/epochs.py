"""The course of a training, told as it happens: metrics.csv, status.json, MLflow, the log, and a picture at the end."""

from __future__ import annotations

import csv
import io
import logging
import math
from pathlib import Path

from reid.actions.base import ActionRun
from reid.actions.resume import Row, StartingPoint
from reid.distributed import is_main_process
from reid.files import write_text
from reid.model.callbacks import EpochRecord
from reid.report.plots import plot_training

log = logging.getLogger(__name__)


_HEADLINES = ("cmc_rank_1", "cmc_rank_5", "cmc_rank_10", "mAP", "mINP")  # beside those that a family names val


class EpochLog:
    """Receives the record of each epoch.

    Args:
        run: whose folder, status and MLflow run are written.
        max_epochs: of the whole training.
        start: where the training goes on; None when it begins. Its history replaces a metrics.csv that was lost, or
            that knows of epochs which are trained again.
    """

    def __init__(self, run: ActionRun, *, max_epochs: int, start: StartingPoint | None) -> None:
        self._run, self._max_epochs = run, max_epochs
        self._path = run.folder / "metrics.csv"
        self._rows: list[Row] = _read(self._path) if start else []
        if start and start.history is not None and self._rows != list(start.history):
            self._rows = [dict(row) for row in start.history]
            if is_main_process():
                log.info("metrics.csv is written anew from %s: %d epochs", start.path, len(self._rows))
                write_text(self._path, _csv(self._rows))

    def receive(self, record: EpochRecord) -> None:
        """Writes one epoch down."""
        row = record.row()
        self._rows = [earlier for earlier in self._rows if earlier["epoch"] < record.epoch] + [row]
        write_text(self._path, _csv(self._rows))
        if record.validation:
            self._run.status.write("RUNNING", "Eval metrics generated.", kpi=record.validation)
        self._run.status.write(
            "RUNNING",
            "Train metrics generated.",
            kpi=record.training,
            epoch=record.epoch,
            max_epoch=self._max_epochs - 1,
            step=record.step,
            time_per_epoch=round(record.seconds, 3),
            eta=round(record.seconds * (self._max_epochs - 1 - record.epoch), 1),
        )
        measured = {name: value for name, value in row.items() if name != "epoch" and math.isfinite(value)}
        self._run.tracker.log_metrics(measured, step=record.epoch)
        log.info(
            "epoch %d (%d of %d): loss %.3f%s, %.0f images/s%s",
            record.epoch,
            record.epoch + 1,
            self._max_epochs,
            record.training["train_loss"],
            f", accuracy {record.training['train_acc']:.1%}" if "train_acc" in record.training else "",
            record.images_per_s,
            _spoken(record.validation),
        )

    def figures(self) -> dict[str, float | int | str]:
        """The best validation by cmc_rank_1 then mAP, and how many epochs there are."""
        validated = [row for row in self._rows if "cmc_rank_1" in row]
        figures: dict[str, float | int | str] = {"epochs": len(self._rows)}
        if validated:
            best = max(validated, key=lambda row: (row["cmc_rank_1"], row["mAP"], -row["epoch"]))
            figures["best_epoch"] = int(best["epoch"])
            figures |= {name: value for name, value in best.items() if name in _HEADLINES or name.startswith("val")}
        return figures

    def draw(self) -> Path | None:
        """training.png, or None when no epoch was recorded or matplotlib is not installed."""
        if not self._rows:
            return None
        path = self._run.folder / "training.png"
        names = [name for name in self._rows[-1] if name.startswith("train_loss")]
        try:
            plot_training(
                [row["epoch"] for row in self._rows],
                path,
                losses={name: [row.get(name, math.nan) for row in self._rows] for name in names},
                learning_rate=[row["learning_rate"] for row in self._rows],
                figures={name: [row.get(name, math.nan) for row in self._rows] for name in ("cmc_rank_1", "mAP")},
            )
        except ModuleNotFoundError as error:
            log.warning("%s is not installed: there is no picture of the training, only metrics.csv", error.name)
            return None
        return path


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def _csv(rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, names, restval="")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return buffer.getvalue()


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value


def _spoken(validation: dict[str, float] | None) -> str:
    if not validation:
        return ""
    return f", rank-1 {100 * validation['cmc_rank_1']:.1f} %, mAP {100 * validation['mAP']:.1f} %"
