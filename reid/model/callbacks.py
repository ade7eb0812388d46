"""The end of an epoch: validation by retrieval, and a record of the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, TQDMProgressBar

from reid.model.module import ReidModule


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training.

    Attributes:
        epoch: counted from 0.
        step: optimiser steps done so far.
        seconds: that the epoch took, validation included.
        images_per_s: training images over the training part of the epoch, all processes.
        learning_rate: of the weights in the epoch's last step.
        training: means over the epoch: train_loss, its parts, train_acc where there is an ID head; and
            trunk_base_lr and embedder_base_lr in the epoch's last step where trunk and embedder learn apart.
        validation: figures of the validation after it, or None when there was none.
    """

    epoch: int
    step: int
    seconds: float
    images_per_s: float
    learning_rate: float
    training: dict[str, float]
    validation: dict[str, float] | None

    def row(self) -> dict[str, float]:
        """All of it by column, as metrics.csv and every checkpoint have it."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.images_per_s, 1),
            "learning_rate": self.learning_rate,
            **self.training,
            **(self.validation or {}),
        }


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
            pl_module.validation_metrics = self._measure(pl_module)
            pl_module.validation_epoch = trainer.current_epoch


class Records(Callback):
    """After each epoch adds a row to those of the module, and hands an `EpochRecord` to the caller.

    Args:
        receive: is called with it, in the main process.
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
        if trainer.is_last_batch and pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)  # what is queued has to be done before the clock is read
        self._trained_s = time.perf_counter() - self._began

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hands over the record."""
        assert isinstance(pl_module, ReidModule)
        training = pl_module.means.compute() | pl_module.part_learning_rates
        pl_module.means.reset()
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
        earlier = [row for row in pl_module.epoch_rows if row["epoch"] < record.epoch]
        pl_module.epoch_rows = [*earlier, record.row()]
        if trainer.is_global_zero:
            self._receive(record)


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, with the losses of the epoch so far."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands beside the bar."""
        assert isinstance(pl_module, ReidModule)
        means = pl_module.means.of_this_process()
        return {name: f"{means[name]:.3f}" for name in ("train_loss", "train_acc") if name in means}
