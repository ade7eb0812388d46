"""The training loop on a tiny network: which checkpoints it leaves, and which it must not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from reid.data.augment import Augmentation
from reid.data.module import TrainingData
from reid.devices import Hardware
from reid.errors import ReidError
from reid.model.callbacks import EpochRecord
from reid.model.checkpoint import FORMAT, load_checkpoint
from reid.model.fit import fit
from reid.model.losses import ReidCriterion
from reid.model.module import ReidModule
from reid.model.network import ReidNetwork
from reid.model.optim import Schedule, parameter_groups
from reid.model.settings import NetworkSettings

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]  # two batches of 2 x 2 an epoch
PIXELS = np.random.default_rng(0).integers(0, 256, (len(LABELS), 64, 32, 3), dtype=np.uint8)


def module(kind: type[ReidModule] = ReidModule) -> ReidModule:
    torch.manual_seed(0)
    settings = NetworkSettings("test_resnet", 2, 64, 32, feat_dim=8)
    network = ReidNetwork(settings)
    block = {
        "format": FORMAT, "network": settings.to_dict(), "preprocess": {}, "pids": [1, 2], "spec": {}, "provenance": {},
    }  # fmt: skip
    return kind(
        network,
        ReidCriterion(combination="softmax", label_smoothing=0.1, margin=0.3),
        augmentation=Augmentation(0.5, 2, 0.0, "mean", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        schedule=Schedule("constant", num_epochs=9, warmup_iters=0),
        optimizer="SGD",
        groups=parameter_groups(
            network, base_lr=0.01, weight_decay=0.0, bias_lr_factor=1.0, weight_decay_bias=0.0, large_fc_lr=False
        ),
        momentum=0.9,
        seed=1,
        checkpoint_block=block,
    )


def train(
    folder: Path,
    *,
    epochs: int,
    measure: Callable[[pl.LightningModule], dict[str, float]] | None = None,
    trained: ReidModule | None = None,
    **changes: Any,
) -> list[EpochRecord]:
    folder.mkdir(exist_ok=True)
    records: list[EpochRecord] = []
    settings = {"validation_interval": 1, "checkpoint_interval": 1, "checkpoint_unit": "epoch", "resume_from": None}
    fit(
        trained or module(),
        TrainingData(PIXELS, LABELS, batch_size=4, num_instances=2, seed=1),
        folder=folder,
        hardware=Hardware(torch.device("cpu")),
        max_epochs=epochs,
        grad_clip=0.0,
        validate=measure,
        receive=records.append,
        **(settings | changes),
    )
    return records


def always(rank_1: float) -> Callable[[pl.LightningModule], dict[str, float]]:
    return lambda module: {"cmc_rank_1": rank_1, "mAP": rank_1 / 2}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_resumed_epoch_without_a_validation_is_not_the_best_by_the_figures_of_an_earlier_one(tmp_path: Path) -> None:
    train(tmp_path / "first", epochs=1, measure=always(0.9))
    (start,) = (tmp_path / "first").glob("model_epoch_000_*.pth")

    records = train(
        tmp_path / "second", epochs=3, measure=always(0.5), validation_interval=3, resume_from=start
    )  # epoch 1 is not validated, epoch 2 is, and worse than epoch 0 was

    best = load_checkpoint(tmp_path / "second" / "model_best.pth")
    assert (best.epoch, best.metrics_epoch, best.metrics["cmc_rank_1"]) == (2, 2, 0.5)
    (between,) = (tmp_path / "second").glob("model_epoch_001_*.pth")
    assert (load_checkpoint(between).metrics_epoch, load_checkpoint(between).metrics["cmc_rank_1"]) == (0, 0.9)
    assert [record.validation and record.validation["cmc_rank_1"] for record in records] == [None, 0.5]


def test_a_checkpoint_of_a_version_that_did_not_note_the_validations_epoch_is_resumed(tmp_path: Path) -> None:
    train(tmp_path / "first", epochs=1, measure=always(0.9))
    (start,) = (tmp_path / "first").glob("model_epoch_000_*.pth")
    content = torch.load(start, weights_only=True)
    del content["reid"]["metrics_epoch"]
    torch.save(content, start)

    train(tmp_path / "second", epochs=2, measure=always(0.5), resume_from=start)

    assert load_checkpoint(tmp_path / "second" / "model_best.pth").metrics_epoch == 1


class SpoilsWeights(ReidModule):
    """Weights overflow in the update after a good loss, in step 2 of 2."""

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        if self.global_step == 1:  # it counts after this
            with torch.no_grad():
                self.network.classifier.weight[0, 0] = float("inf")


class SpoilsLoss(ReidModule):
    """The loss of step 1 is not a number, though its gradients do not reach the weights."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss + float("nan") if self.global_step == 0 else loss

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        closure()
        optimizer.zero_grad()
        super().optimizer_step(epoch, batch_idx, optimizer, lambda: None)


@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_weights_that_are_no_numbers_are_never_saved(unit: str, tmp_path: Path) -> None:
    spoilt = module(SpoilsWeights)

    with pytest.raises(ReidError, match=r"epoch 0 is \d.* by step 2, with weights that are no numbers"):
        train(tmp_path, epochs=2, trained=spoilt, measure=always(0.9), checkpoint_unit=unit)

    good = ["model_epoch_000_step_00001.pth", "reid_model_latest.pth"] if unit == "step" else []
    assert names(tmp_path) == good


def test_a_loss_that_was_no_number_stops_the_next_checkpoint_by_step(tmp_path: Path) -> None:
    spoilt = module(SpoilsLoss)

    with pytest.raises(ReidError, match=r"training loss of epoch 0 is nan by step 1.*train\.grad_clip"):
        train(tmp_path, epochs=2, trained=spoilt, checkpoint_unit="step")

    assert names(tmp_path) == []
