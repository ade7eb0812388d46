"""Rules that look at several keys at once: those of both families, and from here those of each."""

from __future__ import annotations

from typing import Any

from reid.spec.experiment import ExperimentSpec
from reid.spec.gpus import resolve_gpus
from reid.spec.keys import BLOCKS
from reid.spec.ml_recog import MlRecogSpec
from reid.spec.ml_recog.checks import check_recognition
from reid.spec.problems import Problem
from reid.spec.re_identification import ReIdentificationSpec
from reid.spec.re_identification.checks import check_re_identification

_TRAINING = ("", "train", "dataset")


def settle(spec: ExperimentSpec, warnings: list[str]) -> dict[str, Any]:
    """The keys that other keys overrule, by dotted name with their new values; what the user gave gets a warning.

    num_gpus and gpu_ids of each block agree afterwards (see `resolve_gpus`), and no interval is longer than the
    training, which would leave no checkpoint and no validation.
    """
    changes: dict[str, Any] = {}
    for name, block in (("train", spec.train), ("evaluate", spec.evaluate), ("inference", spec.inference)):
        count, ids = resolve_gpus(block.num_gpus, block.gpu_ids)
        if (count, ids) != (block.num_gpus, block.gpu_ids):
            if {"num_gpus", "gpu_ids"} <= block.model_fields_set:  # a default disagrees with nobody
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


def check_keys_together(spec: ExperimentSpec, action: str, problems: list[Problem], warnings: list[str]) -> None:
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
    training = action in _TRAINING
    if training:
        _check_batch(spec, action, problems, warnings)
        _check_early_stopping(spec, problems)
        _check_frozen_backbone(spec, warnings)
    if isinstance(spec, ReIdentificationSpec) and training:
        check_re_identification(spec, problems, warnings)
    if isinstance(spec, MlRecogSpec):
        check_recognition(spec, action, problems, warnings, training=training)


def _check_batch(spec: ExperimentSpec, action: str, problems: list[Problem], warnings: list[str]) -> None:
    """Whole identities in the batch of each GPU, and two or more in all, which the triplet loss compares.

    Where no action is named and the batch is the default, a spec of evaluation must not be refused for it.
    """
    size_key, instances_key = spec.names["batch_size"], spec.names["num_instances"]
    if action in BLOCKS and size_key.partition(".")[0] not in BLOCKS[action]:
        return
    problem = _batch_problem(spec, size_key, instances_key)
    if problem is None:
        return
    if action or spec.gpus > 1 or spec.is_given(size_key) or spec.is_given(instances_key):
        problems.append(problem)
    else:
        warnings.append(f"train will be refused: {problem.found}; {problem.fix}")


def _batch_problem(spec: ExperimentSpec, size_key: str, instances_key: str) -> Problem | None:
    batch, instances, gpus = spec.batch_size, spec.num_instances, spec.gpus
    share = spec.batch_share
    unit = instances * gpus
    smallest = max(unit, 2 * instances) if spec.compares_identities else unit
    if batch % unit:
        across = f" on each of {gpus} GPUs" if gpus > 1 and share == 1 else ""
        below, above = max(batch // unit * unit, smallest) // share, max(-(-batch // unit) * unit, smallest) // share
        sizes = f"{size_key}={below} or {above}" if below != above else f"{size_key}={above}"
        return Problem(
            f"{size_key} {batch // share} is not a multiple of {instances_key} {instances}{across}",
            f"a batch holds whole {spec.nouns} of {_last(instances_key)} images each",
            f"use {sizes}, or another {_last(instances_key)}",
        )
    if batch < smallest:
        return Problem(
            f"{size_key} {batch // share} with {instances_key} {instances} is one {spec.noun} in a batch",
            f"the triplet loss compares different {spec.nouns}, so it needs two or more",
            f"use {size_key}={smallest // share} or more, or fewer {_last(instances_key)}",
        )
    return None


def _check_early_stopping(spec: ExperimentSpec, problems: list[Problem]) -> None:
    if spec.train.early_stopping and not any(place for _, place in spec.test_places("train").values()):
        problems.append(
            Problem(
                f"train.early_stopping is {spec.train.early_stopping}, and there is nothing to validate on",
                "it counts validations that are no better than the best before them",
                f"set {spec.names['query']} and {spec.names['gallery']}, or train.early_stopping=0",
            )
        )


def _check_frozen_backbone(spec: ExperimentSpec, warnings: list[str]) -> None:
    frozen, model = spec.train.freeze_backbone_epochs, spec.model
    if frozen >= spec.train.num_epochs:
        warnings.append(
            f"train.freeze_backbone_epochs {frozen} is not less than train.num_epochs {spec.train.num_epochs}; the "
            "backbone keeps its initial weights to the end"
        )
    if frozen and not model.pretrain_choice and not spec.backbone_files:
        warnings.append(
            f"train.freeze_backbone_epochs is {frozen} and the backbone has random weights; there is nothing in it to "
            "protect from what follows it"
        )


def _last(path: str) -> str:
    """The key's own name."""
    return path.rpartition(".")[2]
