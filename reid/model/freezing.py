"""A frozen warm-up: at first only what stands behind the backbone learns, as its random start would spoil weights."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

from reid.model.module import ReidModule


class FrozenBackbone(Callback):
    """Keeps the backbone as it is during the first epochs: weights, batch-norm statistics, no dropout.

    So does it with what works inside the backbone, its side information and the jigsaw's copy of its last block.
    Frozen weights have no gradient at all, so the optimiser passes over them: no weight decay, and no moments that
    would push when they thaw. They are frozen at the first batch, after DistributedDataParallel has registered them,
    and it must look for unused parameters.

    Args:
        epochs: how many, from the start of the training.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._frozen: list[nn.Parameter] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Freezes or thaws, by the epoch alone, so that a resume needs no state."""
        assert isinstance(pl_module, ReidModule)
        network = pl_module.network
        if trainer.current_epoch < self._epochs:
            for module in network.part("trunk").values():
                module.eval()  # at each batch: after a validation the whole network is in training mode
                self._frozen += [p for p in module.parameters() if p.requires_grad]
                module.requires_grad_(False)
        elif self._frozen:
            network.train()
            while self._frozen:
                self._frozen.pop().requires_grad_(True)
