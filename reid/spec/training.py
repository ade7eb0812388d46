"""What the `train` blocks of both families share: devices, duration, checkpoints, schedule and learning rates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reid.spec.base import Section, key

GpuIds = tuple[Annotated[int, Field(ge=0)], ...]
Epochs = tuple[Annotated[int, Field(ge=0)], ...]


class CudnnSpec(Section):
    """cuDNN switches."""

    benchmark: bool = key(False, "Let cuDNN time its algorithms and keep the fastest; faster, not repeatable.")
    deterministic: bool = key(True, "Use repeatable cuDNN algorithms only.")


class LearningSpec(Section):
    """Learning rate and weight decay of a group of parameters."""

    base_lr: float = key(0.00035, "Learning rate after warm-up.", ge=0, le=1)
    bias_lr_factor: float = key(1.0, "Learning rate of biases, as a multiple of base_lr.", ge=0, tao_bounds=(0, 1))
    weight_decay: float = key(0.0005, "Weight decay of weights.", ge=0, le=1)
    weight_decay_bias: float = key(0.0005, "Weight decay of biases.", ge=0, le=1)
    momentum: float = key(0.9, "Momentum; read by SGD alone.", ge=0, le=1)


class ScheduleSpec(Section):
    """Optimiser, course of the learning rate, and the triplet loss's margin."""

    name: Literal["Adam", "AdamW", "Adamax", "SGD"] = key("Adam", "Optimiser.")
    gamma: float = key(0.1, "Factor applied at each of the steps of the learning rate.", ge=0, le=1)
    warmup_factor: float = key(
        0.01,
        "Where a linear warm-up starts, as a fraction; the first epoch stands one step above it. The whole warm-up of "
        "the constant kind.",
        ge=0,
        le=1,
    )
    warmup_iters: int = key(10, "Length of a linear or constant warm-up, in epochs in spite of the name.", ge=0)
    warmup_steps: int = key(
        0,
        "Optimiser steps at the start over which the learning rate rises linearly from zero, on top of the schedule.",
        ge=0,
        ours=True,
    )
    triplet_loss_margin: float = key(0.3, "Margin of the triplet loss.", ge=0, tao_bounds=(0, 1))


class TrainingSpec(Section):
    """Devices, duration, checkpoints; the families add batches, optimiser and losses."""

    num_gpus: int = key(1, "GPUs to use; when gpu_ids names more, all of those are used.", ge=1, popular=True)
    gpu_ids: GpuIds = key((0,), "Numbers of the GPUs to use.", popular=True, automl=False)
    num_nodes: int = key(1, "Machines that train together.", ge=1, popular=True)
    seed: int = key(1234, "Seed of everything random; -1 leaves it unseeded.", ge=-1)
    num_epochs: int = key(10, "Passes over the training images.", ge=1, popular=True)
    checkpoint_interval: int = key(1, "Epochs (or steps) between checkpoints.", ge=1, popular=True)
    checkpoint_interval_unit: Literal["epoch", "step"] = key(
        "epoch", "Unit of checkpoint_interval.", tao_type="categorical"
    )
    validation_interval: int = key(1, "Epochs between validations.", ge=1, popular=True)
    precision: Literal["auto", "fp32", "fp16", "bf16"] = key(
        "auto",
        "Number format: auto takes bf16 or fp16 where device and network are fast with it, else fp32.",
        ours=True,
    )
    compile: Literal["auto", "off", "on", "cuda_graphs"] = key(
        "auto",
        "torch.compile of the network: auto uses it on a GPU for long trainings. Where it fails, the "
        "training goes on without it.",
        ours=True,
    )
    keep_checkpoints: int = key(
        3,
        "Checkpoints of the best validations that stay beside model_best.pth and the latest; the others are removed. "
        "-1 keeps all, as TAO does.",
        ge=-1,
        ours=True,
    )
    ema_decay: float = key(
        0.0,
        "Keep a moving average of the weights with this decay a step, and validate, save and export that one; 0: off.",
        ge=0,
        le=0.99999,
        ours=True,
    )
    early_stopping: int = key(
        0, "Stop after this many validations without a better cmc_rank_1 and mAP; 0: never.", ge=0, ours=True
    )
    freeze_backbone_epochs: int = key(
        0,
        "Epochs at the start in which the backbone keeps its weights and only what follows it learns.",
        ge=0,
        ours=True,
    )
    freeze_batch_norm: bool = key(
        False,
        "Keep the backbone's batch norms at the statistics of its initial weights, while their weights learn: for "
        "small data and batches, and networks whose statistics follow slowly (EfficientNet).",
        ours=True,
    )
    resume_training_checkpoint_path: str = key(
        "", "Checkpoint to go on from; empty: the newest one in the results folder, if any."
    )
    if_exists: Literal["resume", "restart_if_changed", "restart"] = key(
        "resume",
        "What a training already in the results folder means: resume goes on with it and refuses other settings, "
        "restart_if_changed begins anew when settings or images differ, restart always begins anew.",
        ours=True,
    )
    results_dir: str = key("", "Folder of the results; empty: <results_dir>/train.")
    cudnn: CudnnSpec = CudnnSpec()
    optim: ScheduleSpec
