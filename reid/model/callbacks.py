"""The end of an epoch: validation by retrieval, checkpoints under TAO's names, a record of the epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.callbacks import Checkpoint as CheckpointCallback
from torch import Tensor

from reid.distributed import share_buffers
from reid.errors import ReidError
from reid.files import replace_link
from reid.model.module import ReidModule
from reid.model.selection import BEST, LATEST, Score, checkpoint_name, score_of


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training.

    Attributes:
        epoch: counted from 0.
        step: optimiser steps done so far.
        seconds: that the epoch took, validation included.
        images_per_s: training images over the training part of the epoch, all processes.
        learning_rate: of the weights in the epoch's last step.
        training: means over the epoch: train_loss, its parts, train_acc.
        validation: figures of the validation after it, or None when there was none.
    """

    epoch: int
    step: int
    seconds: float
    images_per_s: float
    learning_rate: float
    training: dict[str, float]
    validation: dict[str, float] | None


class Divergence(Callback):
    """Stops a run whose loss or weights are no longer numbers, before it is validated or a checkpoint is written."""

    def __init__(self) -> None:
        self._loss: Tensor | None = None  # of the last step, or of the first one that was not a finite number

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers the loss, on its device: reading it at every step would make a GPU wait."""
        loss = outputs["loss"].detach()
        self._loss = loss if self._loss is None else torch.where(self._loss.isfinite(), loss, self._loss)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Looks at the losses so far and at the weights that are about to be written, in all processes.

        Raises:
            ReidError: one of them is not a finite number; the file is not written.
        """
        loss = 0.0 if self._loss is None else float(self._loss)
        finite = math.isfinite(loss) and all(bool(weights.isfinite().all()) for weights in pl_module.parameters())
        if not trainer.strategy.reduce_boolean_decision(finite):
            bad = "" if not math.isfinite(loss) else ", with weights that are no numbers"
            raise _diverged(f"epoch {trainer.current_epoch} is {loss} by step {trainer.global_step}{bad}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the mean loss of the epoch.

        Raises:
            ReidError: it is not a finite number.
        """
        loss = float(trainer.callback_metrics["train_loss"])
        if not math.isfinite(loss):
            raise _diverged(f"epoch {trainer.current_epoch} is {loss}")


def _diverged(what: str) -> ReidError:
    return ReidError(
        f"the training loss of {what}",
        "a network does not recover from that, so nothing further is written; earlier checkpoints are good",
        "lower train.optim.base_lr, set train.grad_clip=1.0, or use train.precision=fp32",
    )


class Validation(Callback):
    """Runs a validation every `interval` epochs and after the last one.

    Args:
        measure: computes the figures of the network as it is.
        interval: epochs between validations.
    """

    def __init__(self, measure: Callable[[pl.LightningModule], dict[str, float]], *, interval: int) -> None:
        self._measure = measure
        self._interval = interval

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the figures on the module, for the checkpoint and the record."""
        assert isinstance(pl_module, ReidModule)
        epoch = trainer.current_epoch + 1
        if epoch % self._interval == 0 or epoch == trainer.max_epochs:
            share_buffers(pl_module)  # what is measured is what the main process saves
            share_buffers(pl_module.evaluated_network)
            pl_module.validation_metrics = self._measure(pl_module)
            pl_module.validation_epoch = trainer.current_epoch


class Checkpoints(CheckpointCallback):
    """Writes checkpoints at an interval, links the latest, and keeps the best.

    Best is the highest `cmc_rank_1` of a validation, `mAP` breaking ties; the earlier one stays when both are equal.

    Args:
        folder: where they go.
        interval: how often.
        unit: of the interval.
    """

    def __init__(self, folder: Path, *, interval: int, unit: Literal["epoch", "step"]) -> None:
        self._folder, self._interval, self._unit = folder, interval, unit
        self._best: Score | None = None
        self._last_saved_step = -1

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves by step when the unit is steps; the last step of an epoch waits for the epoch's validation."""
        if self._unit == "step" and not trainer.is_last_batch and trainer.global_step % self._interval == 0:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves at the interval, always at the end of the training, and whenever a validation was the best so far."""
        assert isinstance(pl_module, ReidModule)
        epoch = trainer.current_epoch + 1
        metrics = pl_module.validation_metrics
        measured = pl_module.validation_epoch == trainer.current_epoch  # else they are an earlier network's
        score = score_of(metrics) if measured else None
        improved = score is not None and (self._best is None or score > self._best)
        if improved:  # first, so that no other file ever knows of a best checkpoint that was not written
            self._best = score
            trainer.save_checkpoint(self._folder / BEST)
        done = epoch if self._unit == "epoch" else trainer.global_step
        if done % self._interval == 0 or epoch == trainer.max_epochs or trainer.should_stop:
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Plain values: the best score so far."""
        return {"best": list(self._best) if self._best else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the best score along on resume, unless its checkpoint stayed behind in another folder."""
        best = state_dict["best"]
        self._best = (best[0], best[1]) if best and (self._folder / BEST).is_file() else None

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.global_step == self._last_saved_step:
            return
        path = self._folder / checkpoint_name(trainer.current_epoch, trainer.global_step)
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            replace_link(self._folder / LATEST, path)
        self._last_saved_step = trainer.global_step


class Records(Callback):
    """Hands an `EpochRecord` to the caller after each epoch, in the main process.

    Args:
        receive: is called with it.
    """

    def __init__(self, receive: Callable[[EpochRecord], None]) -> None:
        self._receive = receive
        self._began = self._trained_s = 0.0
        self._images = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock of an epoch that goes on after a resume: Lightning does not start such an epoch again."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._began, self._images, self._trained_s = time.perf_counter(), 0, 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts images."""
        self._images += len(batch[1]) * trainer.world_size
        self._trained_s = time.perf_counter() - self._began

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hands over the record."""
        assert isinstance(pl_module, ReidModule)
        training = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train_")}
        validated = pl_module.validation_epoch == trainer.current_epoch
        record = EpochRecord(
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            seconds=time.perf_counter() - self._began,
            images_per_s=self._images / max(self._trained_s, 1e-9),
            learning_rate=pl_module.learning_rate,
            training=training,
            validation=dict(pl_module.validation_metrics) if validated else None,
        )
        if trainer.is_global_zero:
            self._receive(record)
