"""The `train` block of re_identification: what it adds to the shared one."""

from __future__ import annotations

from typing import Literal

from reid.spec.base import key, like
from reid.spec.training import Epochs, LearningSpec, ScheduleSpec, TrainingSpec


class OptimSpec(ScheduleSpec, LearningSpec):
    """Optimiser, learning-rate schedule and the losses' own settings."""

    gamma: float = like(ScheduleSpec, "gamma", description="Factor applied at each of lr_steps.")
    lr_steps: Epochs = key(
        (40, 70),
        "Epochs, counted from 1, from which on the learning rate is multiplied by gamma once more.",
        tao_type="list_2",
        automl=True,
    )
    warmup_method: Literal["linear", "constant", "cosine"] = key(
        "linear", "Schedule: linear or constant warm-up, then lr_steps; or one cosine with a linear warm-up."
    )
    warmup_epochs: int = key(20, "Length of the cosine schedule's warm-up, in epochs.", ge=0)
    large_fc_lr: bool = key(False, "Double the learning rate of the classifier.")
    center_lr: float = key(0.5, "Learning rate of the center loss's centres.", ge=0, le=1)
    center_loss_weight: float = key(0.0005, "Weight of the center loss.", ge=0, le=1)
    trp_l2: bool = key(False, "Scale embeddings to length 1 in the triplet loss.")
    cosine_margin: float = key(
        0.5,
        "Margin of a margin head of model.id_loss_type: radians for arcface (its paper: 0.5), else cosine (cosface "
        "0.35, circle 0.25).",
        ge=0,
        le=1,
    )
    cosine_scale: float = key(
        30.0,
        "Scale of the cosines in a margin head of model.id_loss_type: s of the papers, gamma of circle (128).",
        ge=1,
    )
    layer_decay: float = key(
        1.0,
        "Learning rate of each block of the backbone over that of the block after it, the last one's over that of the "
        "neck; for transformers, where 0.65 to 0.9 is usual. 1 trains all alike.",
        gt=0,
        le=1,
        ours=True,
    )
    lr_monitor: Literal["val_loss", "train_loss"] = key(
        "val_loss", "Value a plateau schedule would watch.", no_effect="no schedule watches a value"
    )


class TrainSpec(TrainingSpec):
    """Training."""

    grad_clip: float = key(0.0, "Largest L2 norm of the gradient; 0 leaves gradients as they are.", ge=0)
    optim: OptimSpec = OptimSpec()
