"""One training step for Lightning: augment on the device, forward, loss; the learning rate moves by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from reid.data.augment import Augmentation
from reid.data.module import Batch
from reid.distributed import rank_and_count
from reid.model.checkpoint import OURS
from reid.model.losses import Branch, LossParts, ReidCriterion
from reid.model.network import ReidNetwork
from reid.model.optim import Schedule, build_optimizer


class ReidModule(pl.LightningModule):
    """A network, what it is trained with, and nothing about files.

    Args:
        network: to train.
        criterion: its losses.
        augmentation: of each batch, on the device.
        schedule: of the learning rate.
        optimizer: name of a torch.optim optimiser.
        groups: parameter groups, see `parameter_groups`.
        momentum: of SGD.
        seed: of the augmentation; with epoch, step and rank it fixes every draw.
        checkpoint_block: plain values that describe the network and its origin; stored in every checkpoint.
    """

    def __init__(
        self,
        network: ReidNetwork,
        criterion: ReidCriterion,
        *,
        augmentation: Augmentation,
        schedule: Schedule,
        optimizer: str,
        groups: list[dict[str, Any]],
        momentum: float,
        seed: int,
        checkpoint_block: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self.criterion = criterion
        self.schedule = schedule
        self.validation_metrics: dict[str, float] = {}
        self.validation_epoch: int | None = None
        self._augmentation = augmentation
        self._optimizer, self._groups, self._momentum = optimizer, groups, momentum
        self._seed = seed
        self._checkpoint_block = checkpoint_block

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        images, labels = batch
        branches = self.network.training_output(self._augmentation(images, self._generator(batch_idx)))
        losses: LossParts = self.criterion(branches, labels)
        loss = losses.total
        accuracy = _accuracy(branches[0], labels)
        measured = {"train_loss": loss.detach(), "train_acc": accuracy}
        measured |= {f"train_loss_{name}": value for name, value in losses.parts.items()}
        for name, value in measured.items():  # means over the epoch and over all processes
            self.log(
                name,
                value,
                on_step=False,
                on_epoch=True,
                sync_dist=True,
                prog_bar=name in ("train_loss", "train_acc"),
                batch_size=len(labels),
            )
        return loss

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule; each group keeps its own base rate."""
        optimizer = build_optimizer(self._optimizer, self._groups, momentum=self._momentum)
        scheduler = LambdaLR(optimizer, self.schedule.factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is needed to use the network without its spec."""
        checkpoint[OURS] = {
            **self._checkpoint_block,
            "epoch": self.current_epoch,
            "step": self.global_step,
            "metrics": dict(self.validation_metrics),
            "metrics_epoch": self.validation_epoch,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the last validation's figures along on resume."""
        self.validation_metrics = dict(checkpoint[OURS]["metrics"])
        self.validation_epoch = checkpoint[OURS].get("metrics_epoch")

    def _generator(self, batch_idx: int) -> torch.Generator:
        rank, _ = rank_and_count()
        state = np.random.SeedSequence([self._seed % 2**32, self.current_epoch, batch_idx, rank]).generate_state(1)
        return torch.Generator().manual_seed(int(state[0]))


def _accuracy(branch: Branch, labels: Tensor) -> Tensor:
    """Share of the batch whose own identity has the largest logit."""
    with torch.no_grad():
        return (branch.head(branch.embedding).argmax(dim=1) == labels).float().mean()
