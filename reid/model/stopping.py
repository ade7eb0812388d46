"""Early stopping: a training whose validations no longer improve ends before its last epoch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from reid.model.module import ReidModule
from reid.model.selection import Score, score_of


class EarlyStopping(Callback):
    """Ends the training after `patience` validations in a row without a better score than the best before them.

    Every process sees the same figures, so all of them stop after the same epoch. A checkpoint holds the count: a
    resumed training stops where an uninterrupted one does, and one that has stopped does not go on. More patience
    than it was stopped with makes it go on.

    Args:
        patience: validations; 0 counts them and never stops.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._best: Score | None = None
        self._waited = 0

    @property
    def stopped(self) -> bool:
        """Whether the patience is at its end."""
        return 0 < self._patience <= self._waited

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves a training that has stopped before as it is."""
        trainer.should_stop = trainer.should_stop or self.stopped

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts the validation of this epoch, if there was one."""
        assert isinstance(pl_module, ReidModule)
        if pl_module.validation_epoch != trainer.current_epoch:
            return
        score = score_of(pl_module.validation_metrics)
        if self._best is None or score > self._best:
            self._best, self._waited = score, 0
        else:
            self._waited += 1
        trainer.should_stop = trainer.should_stop or self.stopped

    def state_dict(self) -> dict[str, Any]:
        """Plain values: the best score so far, and the validations since."""
        return {"best": list(self._best) if self._best else None, "waited": self._waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the count along on resume."""
        best = state_dict["best"]
        self._best, self._waited = (best[0], best[1]) if best else None, state_dict["waited"]
