"""A training of about a second: a tiny network, two batches an epoch, with the settings that a test looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from reid.data.augment import Augmentation
from reid.data.module import TrainingData
from reid.devices import Hardware
from reid.model.callbacks import EpochRecord
from reid.model.checkpoint import FORMAT
from reid.model.fit import fit
from reid.model.keeping import Keeping
from reid.model.key_names import KeyNames
from reid.model.losses import ReidCriterion
from reid.model.module import ReidModule
from reid.model.network import ReidNetwork
from reid.model.optim import parameter_groups
from reid.model.schedule import Schedule
from reid.model.settings import NetworkSettings

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]  # two batches of 2 x 2 an epoch
PIXELS = np.random.default_rng(0).integers(0, 256, (len(LABELS), 64, 32, 3), dtype=np.uint8)
TINY = NetworkSettings("test_resnet", 2, 64, 32, feat_dim=8)
CONSTANT = Schedule("constant", num_epochs=9, warmup_iters=0)

Measure = Callable[[pl.LightningModule], dict[str, float]]


def module(
    kind: type[ReidModule] = ReidModule,
    *,
    base_lr: float = 0.01,
    bias_lr_factor: float = 2.0,
    weight_decay: float = 0.0,
    optimizer: str = "SGD",
    schedule: Schedule = CONSTANT,
    ema_decay: float = 0.0,
    settings: NetworkSettings = TINY,
) -> ReidModule:
    torch.manual_seed(0)
    network = ReidNetwork(settings)
    block = {
        "format": FORMAT, "network": settings.to_dict(), "preprocess": {}, "pids": [1, 2], "spec": {}, "provenance": {},
    }  # fmt: skip
    return kind(
        network,
        ReidCriterion(combination="softmax", label_smoothing=0.1, margin=0.3),
        augmentation=Augmentation(0.5, 2, 0.0, "mean", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        schedule=schedule,
        optimizer=optimizer,
        groups=parameter_groups(
            network,
            base_lr=base_lr,
            weight_decay=weight_decay,
            bias_lr_factor=bias_lr_factor,
            weight_decay_bias=weight_decay,
        ),
        base_lr=base_lr,
        momentum=0.9,
        ema_decay=ema_decay,
        seed=1,
        checkpoint_block=block,
    )


def train(
    folder: Path,
    *,
    epochs: int,
    measure: Measure | None = None,
    trained: ReidModule | None = None,
    **changes: Any,
) -> list[EpochRecord]:
    folder.mkdir(exist_ok=True)
    records: list[EpochRecord] = []
    settings = {
        "hardware": Hardware(torch.device("cpu")), "grad_clip": 0.0, "resume_from": None,
        "validation_interval": 1, "checkpoint_interval": 1, "checkpoint_unit": "epoch",
        "keeping": Keeping(), "keys": KeyNames(),
    }  # fmt: skip
    fit(
        trained or module(),
        TrainingData(PIXELS, LABELS, batch_size=4, num_instances=2, seed=1),
        folder=folder,
        max_epochs=epochs,
        validate=measure,
        receive=records.append,
        describe=lambda epoch, batch: f"batch {batch} of epoch {epoch}",
        **(settings | changes),
    )
    return records


def always(rank_1: float) -> Measure:
    return lambda module: {"cmc_rank_1": rank_1, "mAP": rank_1 / 2}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path, name: str) -> dict[str, Any]:
    """What a checkpoint file holds, by a pattern of its name."""
    (path,) = folder.glob(name)
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def equal(a: Any, b: Any) -> bool:
    """Whether nested dictionaries and lists of tensors and plain values are the same."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)
