"""A training that is asked to stop saves where it stands, in all its processes at the same step, and then leaves."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint as CheckpointCallback

from reid.model.keeping import Checkpoints
from reid.signals import StopRequest

log = logging.getLogger(__name__)

EVERY_ON_GPUS = 8
"""Steps between two agreements of several GPUs on whether to stop: each one makes them wait for the step to end."""


class StopAsked(BaseException):
    """The training has saved and must end now. It is no Exception, as nothing failed."""


class Stopping(CheckpointCallback):
    """Saves and raises `StopAsked` after the step, or the end of the epoch, in which the request came.

    A validation is finished first: the epoch's figures and its place among the best belong to its checkpoint.
    It counts as a checkpoint callback because Lightning runs those last, in the order given: it follows `Checkpoints`.

    Args:
        request: from the signals of this process.
        checkpoints: writes the file.
    """

    def __init__(self, request: StopRequest, checkpoints: Checkpoints) -> None:
        self._request, self._checkpoints = request, checkpoints

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals back from Lightning.

        Its handler for SIGTERM waits for the other processes wherever this one happens to be, saves nothing, and makes
        it look for a signal by a broadcast that all GPUs wait for before each step.
        """
        self._request.listen()
        if trainer.world_size > 1:
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops inside the epoch; after its last batch the end of the epoch is near."""
        several_gpus = trainer.world_size > 1 and pl_module.device.type == "cuda"
        due = not several_gpus or (batch_idx + 1) % EVERY_ON_GPUS == 0
        if due and not trainer.is_last_batch and self._asked(trainer):
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops between two epochs; after the last one there is nothing left to stop."""
        last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop
        if not last and self._asked(trainer):
            self._stop(trainer)

    def _asked(self, trainer: pl.Trainer) -> bool:
        """Whether any of the processes was asked."""
        return trainer.strategy.reduce_boolean_decision(self._request.signal is not None, all=False)

    def _stop(self, trainer: pl.Trainer) -> None:
        path = self._checkpoints.save(trainer)
        log.info("asked to stop: saved %s", path)
        if not trainer.is_global_zero:
            raise SystemExit(0)  # Lightning kills the main process at once when another one ends otherwise
        raise StopAsked


def _nothing() -> None:
    """In place of Lightning's broadcast."""
