"""Rules that look at several keys at once."""

from __future__ import annotations

from typing import Any

from reid.spec.document import Problem
from reid.spec.gpus import resolve_gpus
from reid.spec.re_identification import ReIdentificationSpec

_TRAINING = ("", "train", "dataset")


def settle(spec: ReIdentificationSpec, warnings: list[str]) -> dict[str, Any]:
    """The keys that other keys overrule, by dotted name with their new values; each gets a warning.

    num_gpus and gpu_ids of each block agree afterwards (see `resolve_gpus`), and no interval is longer than the
    training, which would leave no checkpoint and no validation.
    """
    changes: dict[str, Any] = {}
    for name, block in (("train", spec.train), ("evaluate", spec.evaluate), ("inference", spec.inference)):
        count, ids = resolve_gpus(block.num_gpus, block.gpu_ids)
        if (count, ids) != (block.num_gpus, block.gpu_ids):
            warnings.append(
                f"{name}.num_gpus {block.num_gpus} and {name}.gpu_ids {list(block.gpu_ids)} disagree; "
                f"the larger wins: {count} GPUs, {list(ids)}"
            )
            changes |= {f"{name}.num_gpus": count, f"{name}.gpu_ids": ids}
    epochs = spec.train.num_epochs
    intervals = {"train.validation_interval": spec.train.validation_interval}
    if spec.train.checkpoint_interval_unit == "epoch":
        intervals["train.checkpoint_interval"] = spec.train.checkpoint_interval
    for name, interval in intervals.items():
        if interval > epochs:
            warnings.append(f"{name} {interval} is more than train.num_epochs {epochs}; {epochs} is used")
            changes[name] = epochs
    return changes


def check_keys_together(spec: ReIdentificationSpec, action: str, problems: list[Problem], warnings: list[str]) -> None:
    """Adds what is wrong with the combination of values, each key being valid by itself.

    Args:
        action: the verb the spec is for; the rules of training apply to train, dataset and "" alone.
    """
    problems.extend(
        Problem(f"{name}.gpu_ids {list(ids)} names a GPU twice", "", "name each GPU once")
        for name, ids in (
            ("train", spec.train.gpu_ids),
            ("evaluate", spec.evaluate.gpu_ids),
            ("inference", spec.inference.gpu_ids),
        )
        if len(set(ids)) < len(ids)
    )
    for name, size in (("evaluate", spec.evaluate.batch_size), ("inference", spec.inference.batch_size)):
        if size == 0:
            problems.append(
                Problem(f"{name}.batch_size is 0", "a batch holds at least one image", "use -1 or a positive number")
            )
    if spec.select.method == "from_epoch_number" and spec.select.epoch_number is None:
        problems.append(  # in every action: a pipeline must know before it trains
            Problem(
                "select.method is from_epoch_number, and select.epoch_number is not set",
                "there is no epoch to take the checkpoint of",
                "add select.epoch_number=N, counted from 0",
            )
        )
    if action in _TRAINING:
        _check_batch(spec, problems)
        _check_sources(spec, problems)
        _check_center_loss(spec, problems, warnings)
        _check_head(spec, warnings)
        _check_early_stopping(spec, problems)
        _check_frozen_backbone(spec, warnings)


def _check_batch(spec: ReIdentificationSpec, problems: list[Problem]) -> None:
    batch, instances = spec.dataset.batch_size, spec.dataset.num_instances
    gpus = spec.train.num_gpus * spec.train.num_nodes
    unit = instances * gpus
    needs_pairs = spec.dataset.sampler != "softmax"
    smallest = max(unit, 2 * instances) if needs_pairs else unit  # the triplet loss sees the batch of all GPUs
    across = f" on each of {gpus} GPUs" if gpus > 1 else ""
    if batch % unit:
        below, above = max(batch // unit * unit, smallest), max(-(-batch // unit) * unit, smallest)
        sizes = f"dataset.batch_size={below} or {above}" if below != above else f"dataset.batch_size={above}"
        problems.append(
            Problem(
                f"dataset.batch_size {batch} is not a multiple of dataset.num_instances {instances}{across}",
                "a batch holds whole identities of num_instances images each",
                f"use {sizes}, or another num_instances",
            )
        )
    elif batch < smallest:
        problems.append(
            Problem(
                f"dataset.batch_size {batch} with dataset.num_instances {instances} is one identity in a batch",
                "the triplet loss compares different identities, so it needs two or more",
                f"use dataset.batch_size={smallest} or more, or fewer num_instances",
            )
        )


def _check_sources(spec: ReIdentificationSpec, problems: list[Problem]) -> None:
    first, more = spec.dataset.train_dataset_dir, spec.dataset.more_train_dataset_dirs
    if more and not first:
        problems.append(
            Problem(
                f"dataset.more_train_dataset_dirs names {len(more)} source(s), and dataset.train_dataset_dir none",
                "further sources are merged with a first one",
                f"set dataset.train_dataset_dir={more[0]} and leave it out of the list",
            )
        )
    if "" in more:
        problems.append(Problem("dataset.more_train_dataset_dirs has an empty place", "", "take it out of the list"))
    problems.extend(
        Problem(
            f"dataset.train_dataset_dir and dataset.more_train_dataset_dirs name {place} twice",
            "every person in it would be two identities",
            "name each source once",
        )
        for place in sorted({place for place in more if place and (first, *more).count(place) > 1})
    )


def _check_center_loss(spec: ReIdentificationSpec, problems: list[Problem], warnings: list[str]) -> None:
    kind = spec.model.metric_loss_type
    if spec.model.with_center_loss and kind == "triplet":
        problems.append(
            Problem(
                "model.with_center_loss is true and model.metric_loss_type is triplet",
                "the center loss is part of the metric loss types center and triplet_center alone",
                "set model.metric_loss_type=triplet_center, or model.with_center_loss=false",
            )
        )
    elif not spec.model.with_center_loss and kind != "triplet":
        warnings.append(
            f"model.metric_loss_type {kind} has no center loss while model.with_center_loss is false; "
            "as in TAO, the triplet loss alone is used"
        )


def _check_head(spec: ReIdentificationSpec, warnings: list[str]) -> None:
    if spec.dataset.sampler == "triplet" and spec.model.metric_loss_type == "triplet":
        return  # no identity loss
    if spec.model.id_loss_type == "circle" and spec.model.label_smooth:
        warnings.append(
            "model.label_smooth is true and model.id_loss_type is circle; the circle loss compares similarities with "
            "each other and has no labels to smooth: it is used without"
        )


def _check_early_stopping(spec: ReIdentificationSpec, problems: list[Problem]) -> None:
    if spec.train.early_stopping and not (spec.dataset.query_dataset_dir or spec.dataset.test_dataset_dir):
        problems.append(
            Problem(
                f"train.early_stopping is {spec.train.early_stopping}, and there is nothing to validate on",
                "it counts validations that are no better than the best before them",
                "set dataset.query_dataset_dir and dataset.test_dataset_dir, or train.early_stopping=0",
            )
        )


def _check_frozen_backbone(spec: ReIdentificationSpec, warnings: list[str]) -> None:
    frozen, model = spec.train.freeze_backbone_epochs, spec.model
    if frozen >= spec.train.num_epochs:
        warnings.append(
            f"train.freeze_backbone_epochs {frozen} is not less than train.num_epochs {spec.train.num_epochs}; the "
            "backbone keeps its initial weights to the end"
        )
    if frozen and not model.pretrain_choice and not model.pretrained_model_path:
        warnings.append(
            f"train.freeze_backbone_epochs is {frozen} and the backbone has random weights; there is nothing in it to "
            "protect from those of the neck"
        )
