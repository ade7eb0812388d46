"""Which checkpoint an action uses: the one named, its parent run's, the selected one, or the best one trained."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from reid.actions.base import tracking_of
from reid.actions.settings import network_settings_of, preprocess_of
from reid.data.cache import cache_folder
from reid.data.images import Preprocess
from reid.errors import CheckpointError, SpecError
from reid.model.checkpoint import Checkpoint, load_checkpoint
from reid.model.network import TAO_RESNETS
from reid.model.selection import BEST, latest_checkpoint, train_folder
from reid.spec.re_identification import ReIdentificationSpec
from reid.tracking import results_folder_of

log = logging.getLogger(__name__)

SELECTED = "model_selected.pth"

_FREE = {"num_classes", "neck_feat", "with_flip_feature", "drop_path", "drop_out", "att_drop_rate", "dropout_rate"}
"""Settings in which a spec may differ from its checkpoint: they change no weight."""


def checkpoint_of(spec: ReIdentificationSpec, action: Literal["evaluate", "inference", "export"]) -> Checkpoint:
    """Finds and reads the checkpoint of an action.

    In this order: `<action>.checkpoint`; `<action>.parent_run`, an MLflow run id or a results folder;
    `<results_dir>/select`; the best, else the latest checkpoint of `<results_dir>/train`.

    `model.neck_feat` and `model.with_flip_feature` follow the spec where it sets them. Everything else about the
    network is the checkpoint's; a spec that says otherwise is refused.

    Raises:
        CheckpointError: it is not there, or it is of another network than the spec describes.
    """
    own = getattr(spec, action)
    if own.checkpoint:
        path = Path(own.checkpoint)
    elif own.parent_run:
        path = _from_folder(run_folder(spec, own.parent_run))
    elif spec.results_dir or spec.train.results_dir or spec.select.results_dir:
        path = _from_results(spec, action)
    else:
        raise SpecError(
            f"{action}.checkpoint is not set, and neither is {action}.parent_run nor results_dir",
            "there is no network without a checkpoint",
            f"add {action}.checkpoint=FILE, or the results folder of a training with {action}.parent_run=FOLDER",
        )
    checkpoint = load_checkpoint(path)
    _require_same_network(spec, checkpoint)
    log.info("%s uses %s (epoch %d)", action, path, checkpoint.epoch)
    given = spec.model.model_fields_set
    chosen = {key: getattr(spec.model, key) for key in ("neck_feat", "with_flip_feature") if key in given}
    return replace(checkpoint, network=replace(checkpoint.network, **chosen))


def run_folder(spec: ReIdentificationSpec, run: str) -> Path:
    """The results folder that an MLflow run id or a path means.

    Raises:
        CheckpointError: there is no such folder, and it cannot be a run id.
        TrackingError: MLflow does not know the run.
    """
    folder = Path(run)
    if folder.is_dir():
        return folder
    if "/" in run or run in (".", ".."):
        raise CheckpointError(
            f"there is no folder {run}", fix="give the results folder of a training, or an MLflow run id"
        )
    return results_folder_of(tracking_of(spec), run, cache_dir=cache_folder(spec.dataset.cache_dir))


def _from_folder(folder: Path) -> Path:
    for candidate in (folder / SELECTED, folder / "select" / SELECTED):
        if candidate.is_file():
            return candidate
    trained = train_folder(folder)
    return (trained / BEST).resolve() if (trained / BEST).is_file() else latest_checkpoint(trained)


def _from_results(spec: ReIdentificationSpec, action: str) -> Path:
    selected = spec.results_folder("select") / SELECTED
    if selected.is_file():
        return selected
    try:
        return _from_folder(spec.results_folder("train"))
    except CheckpointError as error:
        raise CheckpointError(
            f"{action}.checkpoint is not set, and there is neither {selected} nor a checkpoint in "
            f"{spec.results_folder('train')}",
            "there is no network without a checkpoint",
            f"run train and select first, or add {action}.checkpoint=FILE",
        ) from error


def _require_same_network(spec: ReIdentificationSpec, checkpoint: Checkpoint) -> None:
    wanted: dict[str, Any] = network_settings_of(spec, num_classes=1).to_dict()
    wanted["backbone"] = TAO_RESNETS.get(wanted["backbone"], wanted["backbone"])
    there = checkpoint.network.to_dict()
    there["backbone"] = TAO_RESNETS.get(there["backbone"], there["backbone"])
    asked = spec.model.model_fields_set - _FREE
    differing = [
        f"model.{key} is {wanted[key]} in the spec and {there[key]} in the checkpoint"
        for key in there
        if key in asked and wanted[key] != there[key]
    ]
    ours, theirs = preprocess_of(spec), Preprocess.from_dict(checkpoint.preprocess)
    differing += [
        f"dataset.pixel_{name} is {getattr(ours, name)} in the spec and {getattr(theirs, name)} in the checkpoint"
        for name in ("mean", "std")
        if f"pixel_{name}" in spec.dataset.model_fields_set and getattr(ours, name) != getattr(theirs, name)
    ]
    if differing:
        raise CheckpointError(
            f"{checkpoint.path} is of another network than the spec: {'; '.join(differing)}",
            "its weights were trained with those settings and mean nothing with others",
            "give the checkpoint of this spec's training, or take these keys out of the spec to use the checkpoint's",
        )
