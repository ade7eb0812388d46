"""Stops a training whose loss or weights are no longer numbers, and says which images it happened on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from reid.distributed import gather
from reid.errors import ReidError
from reid.model.key_names import KeyNames
from reid.model.module import ReidModule
from reid.model.selection import latest_link

EVERY = 50
"""Steps between two looks at the loss: each one makes a GPU wait for the step to end."""

_WEIGHTS = {
    "id": "model.id_loss_weight",
    "triplet": "model.triplet_loss_weight",
    "center": "train.optim.center_loss_weight",
}


class Divergence(Callback):
    """Looks at the loss every `EVERY` steps, at the end of an epoch, and before each checkpoint, which is not written.

    Args:
        describe: what stood in a batch of an epoch, as this process saw it: epoch and batch (both from 0) to words.
        folder: of the checkpoints.
        keys: what to call the settings.
    """

    def __init__(self, describe: Callable[[int, int], str], folder: Path, keys: KeyNames) -> None:
        self._describe, self._folder, self._keys = describe, folder, keys
        self._loss: Tensor | None = None  # of the last step, or of the first one that was not a finite number
        self._batch: Tensor | None = None  # number of that step's batch in its epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers the loss, on its device.

        Raises:
            ReidError: a loss since the last look is not a finite number.
        """
        loss = outputs["loss"].detach()
        if self._loss is None or self._batch is None:
            self._loss, self._batch = loss, torch.full_like(loss, batch_idx, dtype=torch.int64)
        else:
            good = self._loss.isfinite()
            self._loss = torch.where(good, loss, self._loss)
            self._batch = torch.where(good, batch_idx, self._batch)
        if (batch_idx + 1) % EVERY == 0:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the losses of the epoch, before it is validated.

        Raises:
            ReidError: one of them is not a finite number.
        """
        self._look(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Looks at the losses so far and at all tensors that are about to be written, in all processes.

        Raises:
            ReidError: one of them is not a finite number; the file is not written.
        """
        assert isinstance(pl_module, ReidModule)
        self._look(trainer)
        written = [*pl_module.state_dict().values(), *pl_module.evaluated_network.state_dict().values()]
        finite = torch.stack([tensor.isfinite().all() for tensor in written if tensor.is_floating_point()]).all()
        if not trainer.strategy.reduce_boolean_decision(bool(finite)):
            loss = math.nan if self._loss is None else float(self._loss)
            raise self._diverged(
                f"epoch {trainer.current_epoch} is {loss} by step {trainer.global_step}, with weights, running "
                "statistics, centers or averages that are no numbers",
                trainer,
            )

    def _look(self, trainer: pl.Trainer) -> None:
        loss = 0.0 if self._loss is None else float(self._loss)
        if trainer.strategy.reduce_boolean_decision(math.isfinite(loss)):
            return
        mine = None
        if self._batch is not None and not math.isfinite(loss):
            number = int(self._batch)
            mine = (number, loss, self._describe(trainer.current_epoch, number))
        number, loss, images = min(bad for bad in gather(mine) if bad is not None)
        raise self._diverged(
            f"epoch {trainer.current_epoch} is {loss} by step {trainer.global_step}; it was first so in batch {number} "
            f"of the epoch (counted from 0), of {images}",
            trainer,
        )

    def _diverged(self, what: str, trainer: pl.Trainer) -> ReidError:
        module = trainer.lightning_module
        assert isinstance(module, ReidModule)
        good = latest_link(self._folder) or trainer.ckpt_path
        return ReidError(
            f"the training loss of {what}; {_in_use(module)}",
            "a network does not recover from that, so nothing further is written"
            + ("; earlier checkpoints are good" if good else ""),
            f"look at those images, {_changes(module, trainer, self._keys)}; with that, "
            + (
                f"go on with train.resume_training_checkpoint_path={good}, which takes other settings, or begin anew "
                "with train.if_exists=restart"
                if good
                else "begin anew"
            ),
        )


def _in_use(module: ReidModule) -> str:
    """The learning rate of the last step, and what makes a loss count more than once."""
    criterion = module.criterion
    used = {"id": criterion.use_id, "triplet": criterion.use_triplet, "center": criterion.center is not None}
    rates = module.part_learning_rates or {"learning rate": module.learning_rate}
    told = [f"{name.replace('_base_lr', ' rate')} {rate:.3g}" for name, rate in rates.items()]
    told += [
        f"{_WEIGHTS[name]} {weight:.3g}" for name, weight in criterion.weights.items() if weight > 1 and used[name]
    ]
    return ", ".join(told)


def _changes(module: ReidModule, trainer: pl.Trainer, keys: KeyNames) -> str:
    """What usually helps and is not in use yet."""
    rates = module.part_learning_rates
    learning = [name for name, rate in rates.items() if rate] or list(rates)  # all are 0 in some warm-ups
    parts = [f"train.optim.{name.replace('_base_lr', '.base_lr')}" for name in learning]
    changes = [f"lower {' and '.join(parts) or 'train.optim.base_lr'}"]
    if not trainer.gradient_clip_val:
        changes.append(f"set {keys.grad_clip}=1.0")
    if trainer.precision != "32-true":
        changes.append("use train.precision=fp32")
    return " or ".join(changes)
