"""Sections of the spec as the plain settings that the training engine takes."""

from __future__ import annotations

import logging
from typing import Literal

import torch

from reid.data.augment import Augmentation
from reid.data.auto_augment import AutoAugment
from reid.data.colour import ColourJitter
from reid.data.images import Preprocess
from reid.data.records import Subset
from reid.devices import Hardware, choose_device, choose_precision, keep_freed_memory, use_cpu_threads
from reid.distributed import launched, local_rank
from reid.errors import DataError, SpecError
from reid.model.center import CenterLoss
from reid.model.losses import ReidCriterion
from reid.model.network import is_transformer
from reid.model.schedule import Schedule
from reid.model.settings import NetworkSettings
from reid.spec.experiment import ExperimentSpec
from reid.spec.re_identification import ReIdentificationSpec

log = logging.getLogger(__name__)

Shared = Literal["train", "evaluate", "inference"]
"""Actions that several processes can share."""

LABEL_SMOOTHING = 0.1
"""Epsilon of the ID loss with model.label_smooth; TAO fixes the same."""


def preprocess_of(spec: ExperimentSpec) -> Preprocess:
    """How images become network input: bicubic for transformers, bilinear for the others, as TAO has it."""
    return Preprocess(
        height=spec.model.input_height,
        width=spec.model.input_width,
        interpolation="bicubic" if is_transformer(spec.model.backbone) else "bilinear",
        mean=spec.dataset.pixel_mean,
        std=spec.dataset.pixel_std,
    )


def network_of_training(spec: ExperimentSpec, train_set: Subset) -> NetworkSettings:
    """The network for the identities of training images, and for their cameras and views where it asks for those.

    Raises:
        DataError: it asks for views, and no image has one.
    """
    settings = network_settings_of(
        spec, num_classes=len(train_set.pids), cameras=train_set.camids, views=train_set.views
    )
    if settings.sie_view and not settings.views:
        raise DataError(
            f"model.sie_view=true, and none of the {len(train_set.records)} training images in {train_set.place} has "
            "a view in its name",
            "there would be one embedding, the same for every image",
            "name the images <identity>_c<camera>v<view>_..., such as 0007_c2v1_01.jpg, or set model.sie_view=false",
        )
    if settings.sie_camera and len(settings.cameras) == 1:
        log.warning("model.sie_camera=true, and all training images are of one camera: its embedding tells nothing")
    return settings


def network_settings_of(
    spec: ExperimentSpec, *, num_classes: int, cameras: tuple[int, ...] = (), views: tuple[int, ...] = ()
) -> NetworkSettings:
    """The network that the `model` section describes.

    Args:
        spec: of the network.
        num_classes: training identities.
        cameras: camera numbers of the training; they count only with `model.sie_camera`.
        views: view numbers of the training; they count only with `model.sie_view`.
    """
    assert isinstance(spec, ReIdentificationSpec)
    model = spec.model
    return NetworkSettings(
        backbone=model.backbone,
        num_classes=num_classes,
        input_height=model.input_height,
        input_width=model.input_width,
        feat_dim=model.feat_dim,
        reduce_feat_dim=model.reduce_feat_dim,
        last_stride=model.last_stride,
        neck=model.neck,
        neck_feat=model.neck_feat,
        gem_pooling=model.gem_pooling,
        with_flip_feature=model.with_flip_feature,
        drop_path=model.drop_path,
        drop_out=model.drop_out,
        att_drop_rate=model.att_drop_rate,
        dropout_rate=model.dropout_rate,
        id_loss_type=model.id_loss_type,
        cosine_margin=spec.train.optim.cosine_margin,
        cosine_scale=spec.train.optim.cosine_scale,
        stride_size=model.stride_size,
        sie_camera=model.sie_camera,
        sie_view=model.sie_view,
        sie_coe=model.sie_coe,
        cameras=cameras if model.sie_camera else (),
        views=views if model.sie_view else (),
        jpm=model.jpm,
        shift_num=model.shift_num,
        shuffle_group=model.shuffle_group,
        devide_length=model.devide_length,
        re_arrange=model.re_arrange,
    )


def criterion_of(spec: ExperimentSpec, *, num_classes: int, dim: int, seed: int) -> ReidCriterion:
    """The losses; the center loss only when both of TAO's keys ask for it.

    `metric_loss_type: center` trains on identity and center loss alone, as in TAO.
    """
    assert isinstance(spec, ReIdentificationSpec)
    model, optim = spec.model, spec.train.optim
    center = None
    combination = spec.dataset.sampler
    if model.with_center_loss and model.metric_loss_type in ("center", "triplet_center"):
        center = CenterLoss(num_classes, dim, learning_rate=optim.center_lr, seed=seed)
        combination = "softmax" if model.metric_loss_type == "center" else "softmax_triplet"
    return ReidCriterion(
        combination=combination,
        label_smoothing=LABEL_SMOOTHING if model.label_smooth else 0.0,
        margin=None if model.no_margin else optim.triplet_loss_margin,
        mining=model.triplet_mining,
        normalise=optim.trp_l2,
        id_weight=model.id_loss_weight,
        triplet_weight=model.triplet_loss_weight,
        center=center,
        center_weight=optim.center_loss_weight,
    )


def schedule_of(spec: ExperimentSpec) -> Schedule:
    """The course of the learning rate."""
    assert isinstance(spec, ReIdentificationSpec)
    optim = spec.train.optim
    return Schedule(
        method=optim.warmup_method,
        num_epochs=spec.train.num_epochs,
        warmup_epochs=optim.warmup_epochs,
        warmup_iters=optim.warmup_iters,
        warmup_factor=optim.warmup_factor,
        warmup_steps=optim.warmup_steps,
        milestones=optim.lr_steps,
        gamma=optim.gamma,
    )


def augmentation_of(spec: ExperimentSpec) -> Augmentation:
    """How training batches are changed: noise fills erased rectangles for transformers, the mean for the others."""
    assert isinstance(spec, ReIdentificationSpec)
    return Augmentation(
        flip_prob=spec.dataset.prob,
        padding=spec.dataset.padding,
        erase_prob=spec.dataset.re_prob,
        erase_mode="pixel" if is_transformer(spec.model.backbone) else "mean",
        mean=spec.dataset.pixel_mean,
        std=spec.dataset.pixel_std,
        colour=_colour_of(spec),
        auto_augment=AutoAugment(spec.dataset.auto_augment_prob) if spec.dataset.auto_augment_prob > 0 else None,
    )


def _colour_of(spec: ExperimentSpec) -> ColourJitter | None:
    colour = spec.dataset.color_augmentation
    if not colour.enabled:
        return None
    return ColourJitter(
        brightness=colour.brightness, contrast=colour.contrast, saturation=colour.saturation, hue=colour.hue
    )


def device_of(spec: ExperimentSpec, *, index: int = 0) -> torch.device:
    """The device of a network, with `cpu_threads` set, and with fp32 that is fp32 on GPUs too.

    PyTorch's own default rounds the factors of convolutions to TF32, 10 bits of mantissa, where a GPU has it.

    Raises:
        SpecError: this machine does not have it.
    """
    use_cpu_threads(spec.cpu_threads)
    device = choose_device(spec.device, index=index)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return device


def hardware_of(spec: ExperimentSpec, action: Shared = "train") -> Hardware:
    """Where an action runs. On `device: cpu`, num_gpus is the number of processes; otherwise it counts GPUs.

    Raises:
        SpecError: a device or a precision that this machine does not have.
    """
    own, train = getattr(spec, action), spec.train
    device = device_of(spec)
    processes = own.num_gpus if device.type == "cuda" or spec.device == "cpu" or launched() else 1
    if device.type == "cuda":
        for index in own.gpu_ids:
            choose_device("cuda", index=index)
        device = choose_device("cuda", index=own.gpu_ids[local_rank()])
    elif own.num_gpus > processes:
        log.warning("%d GPUs were asked for and there is none: %s runs on %s", own.num_gpus, action, device.type)
    return Hardware(
        device=device,
        processes=processes,
        gpu_ids=own.gpu_ids,
        num_nodes=own.num_nodes,
        precision=choose_precision(train.precision, device) if action == "train" else "fp32",
        cudnn_benchmark=train.cudnn.benchmark,
        cudnn_deterministic=train.cudnn.deterministic,
    )


def as_launched(spec: ExperimentSpec, action: Shared) -> ExperimentSpec:
    """The spec with the numbers of processes and machines that `torchrun` started, where it started this process.

    Raises:
        SpecError: the spec asks for several itself, and for another number.
    """
    if (launch := launched()) is None:
        return spec
    own = getattr(spec, action)
    for key, started, option in (
        ("num_gpus", launch.processes, "--nproc-per-node"),
        ("num_nodes", launch.nodes, "--nnodes"),
    ):
        if getattr(own, key) not in (1, started):
            raise SpecError(
                f"{action}.{key} is {getattr(own, key)}, and torchrun was started with {option} {started}",
                "they say the same thing, and it cannot be both",
                f"use {option} {getattr(own, key)}, or leave {action}.{key} out, which then follows torchrun",
            )
    ids = own.gpu_ids if len(own.gpu_ids) == launch.processes else tuple(range(launch.processes))
    changes = {"num_gpus": launch.processes, "num_nodes": launch.nodes, "gpu_ids": ids}
    return spec.model_copy(update={action: own.model_copy(update=changes)})
