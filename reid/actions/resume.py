"""Where a training starts: fresh, or from a checkpoint of the same experiment, never silently from another's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from reid.errors import CheckpointError, SpecError
from reid.model.checkpoint import Checkpoint, load_checkpoint
from reid.model.selection import BEST, LATEST, latest_checkpoint, list_checkpoints
from reid.model.settings import NetworkSettings
from reid.spec.load import dump_spec
from reid.spec.re_identification import ReIdentificationSpec

log = logging.getLogger(__name__)

_CHANGEABLE = {
    "dataset": {
        "train_dataset_dir", "test_dataset_dir", "query_dataset_dir", "num_classes", "val_batch_size", "num_workers",
        "cache_dir", "on_bad_image", "max_archive_gb", "recursive", "more_train_dataset_dirs", "keep_on_gpu",
    },
    "train": {
        "num_epochs", "checkpoint_interval", "checkpoint_interval_unit", "validation_interval", "results_dir",
        "resume_training_checkpoint_path", "if_exists", "num_gpus", "gpu_ids", "num_nodes", "cudnn", "early_stopping",
        "keep_checkpoints",
    },
    "model": {"pretrained_model_path", "pretrain_choice", "neck_feat", "with_flip_feature"},
}  # fmt: skip
"""Keys that a resumed training may change: they do not alter what is learned, only how long, where and how watched."""

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
    "model": {"pretrained_model_path", "pretrain_choice", "neck_feat", "with_flip_feature"},
}  # fmt: skip
"""Those of them that decide which checkpoints exist and which is best: a training cut from ten epochs to five must not
keep the checkpoint of the eighth. `restart_if_changed` counts them as changes, so that results follow from the spec."""


_SHAPE = (
    "backbone", "num_classes", "feat_dim", "reduce_feat_dim", "neck", "gem_pooling", "stride_size",
    "jpm", "devide_length", "cameras", "views",
)  # fmt: skip
"""What decides which tensors a network has."""


Row = dict[str, float]


class StartingPoint(NamedTuple):
    """Where a training goes on.

    Attributes:
        path: the checkpoint.
        history: its rows of metrics.csv; None when it lies in another folder, or an older version wrote it.
    """

    path: Path
    history: tuple[Row, ...] | None


def starting_point(
    spec: ReIdentificationSpec, folder: Path, *, fingerprints: dict[str, str], network: NetworkSettings
) -> StartingPoint | None:
    """The checkpoint to go on from, or None for a fresh start.

    `train.resume_training_checkpoint_path` wins and may be of other settings (that is the user's word). Else a latest
    checkpoint in the folder is taken when it is of the same settings and images; when it is not,
    `train.if_exists` decides: `resume` refuses, `restart_if_changed` begins anew, and does so too for another number of
    epochs and all else that changes the results. `restart` always begins anew.

    Args:
        spec: of this training.
        folder: its results folder; a restart removes the checkpoints in it.
        fingerprints: of the images of each subset; `restart_if_changed` looks at those of the validation too, as
            they decide which epoch is best.
        network: of this training.

    Raises:
        SpecError: the folder holds a training with other settings.
        CheckpointError: the checkpoint cannot be used.
    """
    named = spec.train.resume_training_checkpoint_path
    if named:
        checkpoint = load_checkpoint(Path(named), encryption_key=spec.encryption_key)
        _require_same_network(spec, network, checkpoint)
        _require_epochs_left(spec, checkpoint)
        return _start(checkpoint, folder)
    if not list_checkpoints(folder):
        _clear_orphan(spec, folder)
        return None
    if spec.train.if_exists == "restart":
        _clear(folder, "train.if_exists=restart")
        return None
    checkpoint = load_checkpoint(latest_checkpoint(folder), encryption_key=spec.encryption_key)
    strict = spec.train.if_exists == "restart_if_changed"
    changed = _changes(spec, checkpoint, fingerprints, strict=strict)
    if not changed:
        _require_epochs_left(spec, checkpoint)
        return _start(checkpoint, folder)
    if strict:
        _clear(folder, "; ".join(changed))
        return None
    raise SpecError(
        f"{folder} holds a training with other settings: {'; '.join(changed)}",
        "going on from it would mix two experiments",
        "choose another results_dir, put the settings back to resume it, or add train.if_exists=restart to replace it",
    )


def how_to_go_on(spec: ReIdentificationSpec) -> str:
    """What the user of a training that was stopped can do next."""
    latest = spec.results_folder("train") / LATEST
    if not latest.exists():
        return "no checkpoint was written yet, so the same command begins anew"
    if spec.train.if_exists == "restart":
        return f"add train.if_exists=resume to the command to go on from {latest}; without it, it begins anew"
    return f"the same command goes on from {latest}"


def _start(checkpoint: Checkpoint, folder: Path) -> StartingPoint:
    path = checkpoint.path.resolve()
    return StartingPoint(path, checkpoint.history if path.parent == folder.resolve() else None)


def _clear_orphan(spec: ReIdentificationSpec, folder: Path) -> None:
    """Nothing to resume: makes sure that no best checkpoint of another training is taken for this one's.

    Raises:
        SpecError: there is one, and nothing allows to replace it.
    """
    if not (folder / BEST).is_file():
        return
    if spec.train.if_exists != "resume":
        _clear(folder, f"train.if_exists={spec.train.if_exists}")
        return
    raise SpecError(
        f"{folder} holds {BEST} of an earlier training, and no checkpoint to resume it from",
        "a new training there would replace it, or seem to have made it",
        "choose another results_dir, or add train.if_exists=restart to replace it",
    )


def _clear(folder: Path, reason: str) -> None:
    log.warning("starting anew in %s and replacing the checkpoints there: %s", folder, reason)
    for path in [*(c.path for c in list_checkpoints(folder)), folder / BEST, folder / LATEST]:
        path.unlink(missing_ok=True)


def _changes(
    spec: ReIdentificationSpec, checkpoint: Checkpoint, fingerprints: dict[str, str], *, strict: bool
) -> list[str]:
    now, then = yaml.safe_load(dump_spec(spec)), checkpoint.spec
    changed = []
    provenance = checkpoint.provenance
    if provenance["train_fingerprint"] != fingerprints["train"]:
        changed.append("the training images are others")
    validation = {name: value for name, value in fingerprints.items() if name != "train"}
    if strict and provenance["validation_fingerprints"] != validation:
        changed.append("the query or gallery images are others")
    changeables = _CHANGEABLE
    if strict:
        changeables = {name: free - _OUTCOME.get(name, set()) for name, free in _CHANGEABLE.items()}
        changeables["re_ranking"] = {"max_rank", "num_query"}  # the rest decides which epoch is best
        changeables["evaluate"] = set(now["evaluate"]) - _VALIDATION
    for section, changeable in changeables.items():
        before, after = _flat(then[section], changeable), _flat(now[section], changeable)
        changed += [
            f"{section}.{key} was {before.get(key)} and is {after.get(key)}"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    return changed


def _flat(section: dict[str, Any], without: set[str], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if key in without:
            continue
        if isinstance(value, dict):
            flat |= _flat(value, set(), f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _require_same_network(spec: ReIdentificationSpec, network: NetworkSettings, checkpoint: Checkpoint) -> None:
    wanted, there = network.to_dict(), checkpoint.network.to_dict()
    differing = [
        f"{key} is {there[key]} in the checkpoint and {wanted[key]} here" for key in _SHAPE if wanted[key] != there[key]
    ]
    before, now = checkpoint.spec["train"]["optim"]["name"], spec.train.optim.name
    if before != now:
        differing.append(f"the optimiser was {before} and is {now}")
    if differing:
        raise CheckpointError(
            f"{checkpoint.path} is of another training: {'; '.join(differing)}",
            "its weights and optimiser state do not fit",
            "resume with the spec and images it was trained with, or give it as model.pretrained_model_path",
        )


def _require_epochs_left(spec: ReIdentificationSpec, checkpoint: Checkpoint) -> None:
    """A finished training may be asked for again, one that went further than asked may not."""
    if checkpoint.epoch >= spec.train.num_epochs:
        raise SpecError(
            f"{checkpoint.path} is of epoch {checkpoint.epoch} (counted from 0), and train.num_epochs is "
            f"{spec.train.num_epochs}",
            "a training cannot be made shorter afterwards",
            f"set train.num_epochs to {checkpoint.epoch + 1} or more, choose another results_dir, or add "
            "train.if_exists=restart",
        )
