"""The `train` block of ml_recog: batches, triplets, and the two optimisers of trunk and embedder."""

from __future__ import annotations

from typing import Any, Literal

from reid.spec.base import key, like
from reid.spec.training import Epochs, LearningSpec, ScheduleSpec, TrainingSpec

_POSITIVE: dict[str, Any] = {"automl": True, "math_cond": "> 0.0"}


class PartSpec(LearningSpec):
    """How one of the two parts of the network learns."""

    base_lr: float = like(LearningSpec, "base_lr", **_POSITIVE)
    bias_lr_factor: float = like(LearningSpec, "bias_lr_factor", tao_bounds=(1, 10), automl=True, math_cond=">= 1")
    weight_decay: float = like(LearningSpec, "weight_decay", **_POSITIVE)
    weight_decay_bias: float = like(LearningSpec, "weight_decay_bias", **_POSITIVE)
    momentum: float = like(LearningSpec, "momentum", **_POSITIVE)


class OptimSpec(ScheduleSpec):
    """Optimiser and schedule, shared by both parts, and the mining of triplets."""

    name: Literal["Adam", "AdamW", "Adamax", "SGD"] = like(
        ScheduleSpec, "name", tao_type="categorical", tao_choices=("Adam", "SGD", "Adamax")
    )
    gamma: float = like(ScheduleSpec, "gamma", **_POSITIVE)
    steps: Epochs = key(
        (40, 70),
        "Epochs, counted from 1, from which on the learning rates are multiplied by gamma once more.",
        automl=False,
    )
    warmup_method: Literal["linear", "constant"] = key(
        "linear", "How the learning rates start.", tao_type="categorical"
    )
    warmup_factor: float = like(ScheduleSpec, "warmup_factor", **_POSITIVE)
    warmup_iters: int = like(ScheduleSpec, "warmup_iters", tao_bounds=(1, 10000), automl=True, math_cond="> 0")
    triplet_loss_margin: float = like(ScheduleSpec, "triplet_loss_margin", tao_bounds=(0, 2), **_POSITIVE)
    miner_function_margin: float = key(
        0.1,
        "Margin of the multi-similarity mining: a pair counts when it is harder than the hardest pair of the other "
        "kind by no less than minus this, in cosine similarity.",
        ge=0,
        tao_bounds=(0, 2),
        automl=True,
        math_cond="> 0.0",
    )
    trunk: PartSpec = PartSpec()
    embedder: PartSpec = PartSpec()


class TrainSpec(TrainingSpec):
    """Training."""

    batch_size: int = key(4, "Training images in a batch of each GPU.", ge=1, tao_bounds=(None, None))
    val_batch_size: int = key(4, "Images in a batch of validation.", ge=1, tao_bounds=(None, None))
    clip_grad_norm: float = key(
        0.0,
        "Largest L2 norm of the gradient of each part; 0 leaves gradients as they are.",
        ge=0,
        tao_bounds=(None, None),
        math_cond=">= 0.0",
    )
    smooth_loss: bool = key(True, "Triplet loss log(1 + exp(d)) in place of max(0, d).")
    train_trunk: bool = key(True, "Train the trunk; false keeps its initial weights.")
    train_embedder: bool = key(True, "Train the embedder; false keeps its initial weights.")
    report_accuracy_per_class: bool = key(
        True, "Average the figures of validation over classes, not over images, and log the five weakest classes."
    )
    optim: OptimSpec = OptimSpec()
