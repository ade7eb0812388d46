"""Where an action finds its checkpoint: the one named, its parent run's, the selected one, or the best one trained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from reid.actions.base import tracking_of
from reid.data.cache import cache_folder
from reid.errors import CheckpointError, SpecError
from reid.files import sha256_of
from reid.model.selection import BEST, latest_checkpoint, train_folder
from reid.spec.experiment import ExperimentSpec
from reid.tracking import results_folder_of

SELECTED = "model_selected.pth"
SELECTION = "selection.json"

_RUN_ID = re.compile("[0-9a-f]{32}")


def find_checkpoint(spec: ExperimentSpec, action: str) -> Path:
    """The checkpoint of an action.

    In this order: `<action>.checkpoint`; `<action>.parent_run`, an MLflow run id or a results folder;
    `<results_dir>/select`; the best, else the latest checkpoint of `<results_dir>/train`.

    Raises:
        SpecError: no place to look is set, or both a checkpoint and a parent run.
        CheckpointError: it is not there, or the selection is of a training that has been replaced.
        TrackingError: MLflow does not know the parent run.
    """
    own = getattr(spec, action)
    if own.checkpoint and own.parent_run:
        raise SpecError(
            f"{action}.checkpoint={own.checkpoint} and {action}.parent_run={own.parent_run} are both set",
            "each names a checkpoint, and they may be two different ones",
            f"leave one of them out; {action}.checkpoint= on the command line clears the spec's",
        )
    if own.checkpoint:
        return Path(own.checkpoint)
    if own.parent_run:
        folder = run_folder(spec, own.parent_run)
        return _selected(folder / "select", folder / "train") or _selected(folder, None) or _trained(folder)
    if not (spec.results_dir or spec.train.results_dir or spec.select.results_dir):
        raise SpecError(
            f"{action}.checkpoint is not set, and neither is {action}.parent_run nor results_dir",
            "there is no network without a checkpoint",
            f"add {action}.checkpoint=FILE, or the results folder of a training with {action}.parent_run=FOLDER",
        )
    return _from_results(spec, action)


def run_folder(spec: ExperimentSpec, run: str, *, of: str = "training") -> Path:
    """The results folder that an MLflow run id or a path means.

    Args:
        spec: its `mlflow` section says where runs are looked up.
        run: a folder or a run id.
        of: what the folder holds, for messages.

    Raises:
        CheckpointError: there is no such folder, and it cannot be a run id.
        TrackingError: MLflow does not know the run.
    """
    folder = Path(run)
    if folder.is_dir():
        return folder
    if not _RUN_ID.fullmatch(run):
        raise CheckpointError(
            f"there is no folder {run}",
            "an MLflow run id would have 32 hexadecimal digits",
            f"give the results folder of {'an' if of[0] in 'aeiou' else 'a'} {of}, or an MLflow run id",
        )
    return results_folder_of(tracking_of(spec), run, cache_dir=cache_folder(spec.dataset.cache_dir))


def _from_results(spec: ExperimentSpec, action: str) -> Path:
    trained = spec.results_folder("train") if spec.results_dir or spec.train.results_dir else None
    selected = spec.results_folder("select") if spec.results_dir or spec.select.results_dir else None
    if selected and (chosen := _selected(selected, trained)):
        return chosen
    looked = " nor in ".join(str(folder) for folder in (selected, trained) if folder)
    try:
        if trained:
            return _trained(trained)
    except CheckpointError as error:
        raise _nothing(action, looked) from error
    raise _nothing(action, looked)


def _nothing(action: str, looked: str) -> CheckpointError:
    return CheckpointError(
        f"{action}.checkpoint is not set, and there is no checkpoint in {looked}",
        "there is no network without a checkpoint",
        f"run train and select first, or add {action}.checkpoint=FILE",
    )


def _trained(folder: Path) -> Path:
    """The best, else the latest checkpoint of a training."""
    trained = train_folder(folder)
    return (trained / BEST).resolve() if (trained / BEST).is_file() else latest_checkpoint(trained)


def _selected(folder: Path, trained: Path | None) -> Path | None:
    """The selected checkpoint in a folder, or None where nothing was selected.

    Raises:
        CheckpointError: the training it was selected from has been replaced since, or its file is missing or another.
    """
    if not (folder / SELECTION).is_file():
        return None
    chosen = folder / SELECTED
    try:
        selection: dict[str, Any] = json.loads((folder / SELECTION).read_text(encoding="utf-8"))
        name, sha256, own = (selection[key] for key in ("checkpoint", "sha256", "from_own_training"))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / SELECTION} is damaged, or was written by another version",
            "which checkpoint was selected cannot be read from it",
            "run select again",
        ) from error
    if not chosen.is_file() or sha256_of(chosen) != sha256:
        raise CheckpointError(
            f"{chosen} is missing, or is not the checkpoint {name} that {SELECTION} beside it names",
            "another checkpoint is never taken instead",
            "run select again",
        )
    if trained is not None and own and _replaced(trained, str(name), sha256):
        raise CheckpointError(
            f"{chosen} was selected from a training that is no longer in {trained}: it has no {name} with "
            "the same content",
            "the figures would be those of an older network",
            "run select again, or name the checkpoint that is meant",
        )
    return chosen


def _replaced(trained: Path, name: str, sha256: str) -> bool:
    """Whether a train folder with checkpoints no longer has the selected one."""
    there = any(trained.glob("model_*.pth"))
    source = trained / name
    return there and not (source.is_file() and sha256_of(source) == sha256)
