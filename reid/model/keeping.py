"""Which checkpoints a training leaves: those of the best validations, the best one by itself, and the latest."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint as CheckpointCallback

from reid.files import replace_link
from reid.model.module import ReidModule
from reid.model.selection import BEST, LATEST, Score, checkpoint_name, parse_name, score_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keeping:
    """Which checkpoints stay besides the best and the latest.

    Attributes:
        best: how many of those with the best validations; -1 keeps all.
        epoch: one whose last checkpoint stays whatever its score, counted from 0.
        file: one that stays because somebody named it.
        link: name of the link to the latest.
    """

    best: int = -1
    epoch: int | None = None
    file: Path | None = None
    link: str = LATEST


class Checkpoints(CheckpointCallback):
    """Writes checkpoints at an interval, links the latest, keeps the best, and removes what need not stay.

    Best is the highest `Score` of a validation; the earlier one stays when both are equal. A checkpoint is removed only
    after a newer one is whole and the link points to that. Only files that this training wrote are removed.

    Args:
        folder: where they go.
        interval: how often.
        unit: of the interval.
        keeping: what stays.
    """

    def __init__(self, folder: Path, *, interval: int, unit: Literal["epoch", "step"], keeping: Keeping) -> None:
        self._folder, self._interval, self._unit, self._keeping = folder, interval, unit, keeping
        self._best: Score | None = None
        self._scores: dict[str, Score | None] = {}  # of the checkpoints in the folder, oldest first
        self._last_saved_step = -1

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Removes what a run that was killed had no time to remove."""
        self._prune(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves by step when the unit is steps; the last step of an epoch waits for the epoch's validation."""
        if self._unit == "step" and not trainer.is_last_batch and trainer.global_step % self._interval == 0:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves at the interval, always at the end of the training, and whenever a validation was the best so far."""
        score = _score(trainer)
        if score is not None and (self._best is None or score > self._best):
            self._best = score  # first, so that no other file ever knows of a best checkpoint that was not written
            trainer.save_checkpoint(self._folder / BEST)
        epoch = trainer.current_epoch + 1
        done = epoch if self._unit == "epoch" else trainer.global_step
        if done % self._interval == 0 or epoch == trainer.max_epochs or trainer.should_stop:
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> Path:
        """Writes the checkpoint of this step unless it is there, then points the link to it; every process calls it."""
        path = self._folder / checkpoint_name(trainer.current_epoch, trainer.global_step)
        if trainer.global_step == self._last_saved_step:
            return path
        self._scores.pop(path.name, None)
        self._scores[path.name] = _score(trainer)  # first, as the checkpoint itself holds this list
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            replace_link(self._folder / self._keeping.link, path)
        self._last_saved_step = trainer.global_step
        self._prune(trainer)
        return path

    def state_dict(self) -> dict[str, Any]:
        """Plain values: the best score so far, and the score of each checkpoint that is kept."""
        return {
            "best": list(self._best) if self._best else None,
            "scores": [[name, list(score) if score else None] for name, score in self._scores.items()],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the scores along on resume, of the checkpoints that did not stay behind in another folder."""
        best = state_dict["best"]
        self._best = (best[0], best[1]) if best and (self._folder / BEST).is_file() else None
        self._scores = {
            name: (score[0], score[1]) if score else None
            for name, score in state_dict.get("scores", [])
            if (self._folder / name).is_file()
        }

    def _prune(self, trainer: pl.Trainer) -> None:
        if self._keeping.best < 0 or not self._scores:
            return
        stay = _staying({name: score for name, score in self._scores.items() if score}, self._keeping.best)
        stay.add(next(reversed(self._scores)))  # the latest
        if self._keeping.file and self._keeping.file.resolve().parent == self._folder.resolve():
            stay.add(self._keeping.file.resolve().name)
        stay.update([name for name in self._scores if _epoch_of(name) == self._keeping.epoch][-1:])
        for name in [name for name in self._scores if name not in stay]:
            del self._scores[name]
            if trainer.is_global_zero:
                (self._folder / name).unlink(missing_ok=True)
                log.debug("removed %s: train.keep_checkpoints is %d", name, self._keeping.best)


def _score(trainer: pl.Trainer) -> Score | None:
    """Of the validation of this very network; None when the last one was of an earlier network."""
    module = trainer.lightning_module
    assert isinstance(module, ReidModule)
    if module.validation_epoch != trainer.current_epoch:
        return None
    return score_of(module.validation_metrics)


def _staying(scores: dict[str, Score], count: int) -> set[str]:
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)  # stable: of equals the earlier one stands first
    return set(ranked[:count])


def _epoch_of(name: str) -> int:
    numbers = parse_name(name)
    return numbers[0] if numbers else -1
