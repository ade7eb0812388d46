"""One training step for Lightning: learning rate, augmentation on the device, forward, loss, moving average."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from reid.data.augment import Augmentation
from reid.data.module import Batch
from reid.distributed import rank_and_count
from reid.errors import CheckpointError
from reid.model.averaging import MovingAverage
from reid.model.checkpoint import EMA, OURS, network_weights
from reid.model.losses import Branch, LossParts, ReidCriterion
from reid.model.means import EpochMeans
from reid.model.network import Part, ReidNetwork
from reid.model.optim import build_optimizer, take_settings
from reid.model.schedule import Schedule


class ReidModule(pl.LightningModule):
    """A network, what it is trained with, and nothing about files.

    Args:
        network: to train.
        criterion: its losses.
        augmentation: of each batch, on the device.
        schedule: of the learning rate.
        optimizer: name of a torch.optim optimiser.
        groups: parameter groups, see `parameter_groups` and `part_groups`; each has a base learning rate of its own.
        base_lr: of weights, to be reported.
        part_lrs: likewise of each part, where trunk and embedder have their own.
        momentum: of SGD.
        ema_decay: of the moving average of the network, which is then what is validated; 0 for none.
        seed: of the augmentation; with epoch and step it fixes every draw.
        checkpoint_block: plain values that describe the network and its origin; stored in every checkpoint.

    Attributes:
        means: of the losses of the epoch so far.
        epoch_rows: figures of each epoch so far, as in metrics.csv.
        validation_metrics: of the last validation.
        validation_epoch: the epoch it measured; None before the first.
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
        base_lr: float,
        part_lrs: Mapping[Part, float] = MappingProxyType({}),
        momentum: float,
        ema_decay: float = 0.0,
        seed: int,
        checkpoint_block: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self.criterion = criterion
        self.schedule = schedule
        self.means = EpochMeans()
        self.epoch_rows: list[dict[str, float]] = []
        self.validation_metrics: dict[str, float] = {}
        self.validation_epoch: int | None = None
        self._augmentation = augmentation
        self._optimizer, self._groups, self._momentum = optimizer, groups, momentum
        self._base_lr, self._base_lrs = base_lr, [float(group["lr"]) for group in groups]
        self._part_lrs = dict(part_lrs)
        self._average = MovingAverage(network, decay=ema_decay) if ema_decay else None
        self._seed = seed
        self._checkpoint_block = checkpoint_block

    @property
    def evaluated_network(self) -> ReidNetwork:
        """What is validated and used after the training: the moving average, else the network itself."""
        evaluated = self._average.network if self._average else self.network
        assert isinstance(evaluated, ReidNetwork)
        return evaluated

    @property
    def learning_rate(self) -> float:
        """Of weights, in the step that was done last."""
        return self._base_lr * self._factor_done()

    @property
    def part_learning_rates(self) -> dict[str, float]:
        """The same of each part, under TAO's names `trunk_base_lr` and `embedder_base_lr`; empty without parts."""
        return {f"{part}_base_lr": lr * self._factor_done() for part, lr in self._part_lrs.items()}

    def on_fit_start(self) -> None:
        """Binds the moving average to the network where it now lies."""
        if self._average:
            self._average.follow(self.network)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Sets the learning rates, from the place in the training alone: a resume needs no state for it."""
        factor = self.schedule.factor(self.current_epoch, self.global_step)
        for group, base_lr in zip(self.trainer.optimizers[0].param_groups, self._base_lrs, strict=True):
            group["lr"] = base_lr * factor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        images, labels, side = batch if len(batch) == 3 else (*batch, None)
        rank, ranks = rank_and_count()
        torch.manual_seed(self._seed_of(batch_idx, 1 + rank))  # of dropout and drop path: a resume draws the same
        whole, first = ranks * len(images), rank * len(images)  # each image gets the draws it has in the whole batch
        pixels = self._augmentation(images, self._generator(batch_idx), whole=whole, first=first)
        branches = self.network.training_output(pixels, side)
        losses: LossParts = self.criterion(branches, labels)
        loss = losses.total
        measured = {"train_loss": loss.detach(), **_accuracy(branches[0], labels)}
        measured |= {f"train_loss_{name}": value for name, value in losses.parts.items()}
        self.means.add(measured, len(labels))
        return loss

    def configure_optimizers(self) -> Optimizer:
        """The optimiser. Fused ones undo fp16's scaling inside their step, too late for a limit on the gradient."""
        clipped_fp16 = bool(self.trainer.gradient_clip_val) and self.trainer.precision == "16-mixed"
        return build_optimizer(self._optimizer, self._groups, momentum=self._momentum, fused=not clipped_fp16)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Limits the gradient's norm, of trunk and embedder each where they learn apart, as TAO does.

        Lightning's own refuses fused optimisers, also where nothing is scaled.
        """
        if gradient_clip_val:
            for part in {group.get("part") for group in self._groups}:
                together = [p for group in self._groups if group.get("part") == part for p in group["params"]]
                torch.nn.utils.clip_grad_norm_(together, gradient_clip_val)

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        """One step, and the moving average after it."""
        step = self.global_step
        super().optimizer_step(*arguments, **more)
        if self._average:
            self._average.update(step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is needed to use the network without its spec, and the moving average."""
        checkpoint[OURS] = {
            **self._checkpoint_block,
            "epoch": self.current_epoch,
            "step": self.global_step,
            "metrics": dict(self.validation_metrics),
            "metrics_epoch": self.validation_epoch,
            "history": self.epoch_rows,
            "means": self.means.state_dict(),
        }
        if self._average:
            checkpoint[EMA] = self._average.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes figures, moving average and origin along on resume; settings are those of now.

        Raises:
            CheckpointError: the optimiser's state is of other groups of parameters.
        """
        ours = checkpoint[OURS]
        self._checkpoint_block["provenance"]["pretrained"] = ours["provenance"].get("pretrained")
        self.validation_metrics = dict(ours["metrics"])
        self.validation_epoch = ours.get("metrics_epoch")
        self.epoch_rows = [dict(row) for row in ours.get("history", [])]
        if "means" in ours:  # an older version stored neither
            self.means.load_state_dict(ours["means"])
        if self._average:  # it starts from the weights where the training so far had none
            self._average.load_state_dict(network_weights(checkpoint))
        try:
            take_settings(checkpoint["optimizer_states"][0], self.configure_optimizers())
        except ValueError as error:
            raise CheckpointError(
                "the checkpoint's optimiser learns other groups of parameters than this training's",
                "its state belongs to other settings of train.optim (biases, classifier, depth) or other parameters",
                "resume with the spec it was trained with, or give it as model.pretrained_model_path",
            ) from error

    def _factor_done(self) -> float:
        """Of the schedule, in the step that was done last."""
        return self.schedule.factor(self.current_epoch, max(self.global_step - 1, 0))

    def _generator(self, batch_idx: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed_of(batch_idx))

    def _seed_of(self, batch_idx: int, *more: int) -> int:
        place = [self._seed % 2**32, self.current_epoch, batch_idx, *more]
        return int(np.random.SeedSequence(place).generate_state(1)[0])


def _accuracy(branch: Branch, labels: Tensor) -> dict[str, Tensor]:
    """`train_acc`: share of the batch whose own identity has the largest logit; nothing without an ID head."""
    if branch.head is None:
        return {}
    with torch.no_grad():
        return {"train_acc": (branch.head(branch.embedding).argmax(dim=1) == labels).float().mean()}
