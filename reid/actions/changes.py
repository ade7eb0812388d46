"""What differs between the training a checkpoint is of and the one that would go on from it."""

from __future__ import annotations

from typing import Any

import yaml

from reid.model.checkpoint import Checkpoint
from reid.spec.experiment import ExperimentSpec
from reid.spec.keys import spec_keys
from reid.spec.load import dump_spec

_CHANGEABLE = {
    "dataset": {
        "train_dataset_dir", "test_dataset_dir", "query_dataset_dir", "num_classes", "val_batch_size", "num_workers",
        "cache_dir", "on_bad_image", "max_archive_gb", "recursive", "more_train_dataset_dirs", "keep_on_gpu",
        "train_dataset", "val_dataset", "workers", "class_map",
    },
    "train": {
        "num_epochs", "checkpoint_interval", "checkpoint_interval_unit", "validation_interval", "results_dir",
        "resume_training_checkpoint_path", "if_exists", "num_gpus", "gpu_ids", "num_nodes", "cudnn", "early_stopping",
        "keep_checkpoints", "compile", "val_batch_size", "report_accuracy_per_class",
    },
    "model": {
        "pretrained_model_path", "pretrained_trunk_path", "pretrained_embedder_path", "pretrain_choice", "neck_feat",
        "with_flip_feature",
    },
}  # fmt: skip
"""Keys that a resumed training may change: not what is learned, only how long, where, how fast and how watched."""

_VALIDATION = {
    "exclude", "average_precision", "l2_normalise", "query_expansion", "expansion_k", "expansion_alpha",
    "augmentation_k",
}  # fmt: skip
"""Keys of `evaluate` that validation ranks by as well: they decide which epoch is best."""

_OUTCOME = {
    "train": {
        "num_epochs", "checkpoint_interval", "checkpoint_interval_unit", "validation_interval", "keep_checkpoints",
        "early_stopping",
    },
    "model": {
        "pretrained_model_path", "pretrained_trunk_path", "pretrained_embedder_path", "pretrain_choice", "neck_feat",
        "with_flip_feature",
    },
}  # fmt: skip
"""Those of them that decide which checkpoints exist and which is best: a training cut from ten epochs to five must not
keep the checkpoint of the eighth. `restart_if_changed` counts them as changes, so that results follow from the spec."""


def changes(spec: ExperimentSpec, checkpoint: Checkpoint, fingerprints: dict[str, str], *, strict: bool) -> list[str]:
    """The differences that keep a training from going on, in words; empty when it may.

    A key that the checkpoint's version did not have yet counts as its default, and one that is gone by now not at all.

    Args:
        spec: of the training that would go on.
        checkpoint: to go on from.
        fingerprints: of the images of each subset.
        strict: whether to count what decides which checkpoint is best or last as well.
    """
    changed = []
    provenance = checkpoint.provenance
    if provenance["train_fingerprint"] != fingerprints["train"]:
        changed.append("the training images are others")
    validation = {name: value for name, value in fingerprints.items() if name != "train"}
    if strict and provenance["validation_fingerprints"] != validation:
        changed.append("the images of validation are others")
    changeables = _CHANGEABLE
    if strict:
        changeables = {name: free - _OUTCOME.get(name, set()) for name, free in _CHANGEABLE.items()}
        changeables["re_ranking"] = {"max_rank", "num_query"}  # the rest decides which epoch is best
        evaluate = {path.split(".")[1] for path in spec_keys(spec.family) if path.startswith("evaluate.")}
        changeables["evaluate"] = evaluate - _VALIDATION
    if (before := provenance.get("batch_images", spec.batch_size)) != spec.batch_size:
        named = spec.names["batch_size"]
        changed.append(
            f"a batch of all processes had {before} images and has {spec.batch_size} ({named}, train.num_gpus)"
        )
    then, now = _flat(checkpoint.spec), _flat(yaml.safe_load(dump_spec(spec)))
    for path, key in spec_keys(spec.family).items():
        section, _, rest = path.partition(".")
        if section not in changeables or rest.partition(".")[0] in changeables[section]:
            continue
        before, after = then.get(path, key.default), now[path]
        if before != after:
            changed.append(f"{path} was {before} and is {after}")
    return changed


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
