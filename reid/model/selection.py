"""Finding the checkpoint that was asked for (the best, the latest, an epoch's): exactly that one, or an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reid.errors import CheckpointError

BEST = "model_best.pth"
LATEST = "reid_model_latest.pth"
LATEST_OF_CLASSES = "ml_model_latest.pth"
"""TAO's name of the same link in metric-learning recognition."""

Score = tuple[float, float]
"""What makes a validation the best: cmc_rank_1, then mAP. The larger is better, and of equals the earlier."""

Method = Literal["best_model", "latest_model", "from_epoch_number"]

_NAME = re.compile(r"model_epoch_(\d+)(?:_step_(\d+))?\.pth")


@dataclass(frozen=True, order=True)
class EpochCheckpoint:
    """A checkpoint named by its epoch.

    Attributes:
        epoch: as in the name, counted from 0.
        step: optimiser steps; -1 where the name has none (TAO's older form).
        path: the file.
    """

    epoch: int
    step: int
    path: Path


def score_of(metrics: dict[str, float]) -> Score:
    """The score of a validation's figures."""
    return metrics["cmc_rank_1"], metrics["mAP"]


def checkpoint_name(epoch: int, step: int) -> str:
    """TAO's name of a checkpoint."""
    return f"model_epoch_{epoch:03d}_step_{step:05d}.pth"


def parse_name(name: str) -> tuple[int, int] | None:
    """Epoch and step in a checkpoint's name, the step -1 where it has none; None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2] or -1)) if match else None


def list_checkpoints(folder: Path) -> list[EpochCheckpoint]:
    """Checkpoints in a train folder, oldest first; links and `model_best.pth` are not among them."""
    named = ((path, parse_name(path.name)) for path in folder.glob("model_epoch_*.pth"))
    return sorted(EpochCheckpoint(*numbers, path) for path, numbers in named if numbers)


def train_folder(folder: Path) -> Path:
    """The folder that holds the checkpoints: `folder` itself, or its `train`.

    Raises:
        CheckpointError: neither holds one.
    """
    for candidate in (folder, folder / "train"):
        if list_checkpoints(candidate) or (candidate / BEST).is_file() or latest_link(candidate):
            return candidate
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}", fix="give the results folder of a training, or run train")
    names = sorted(p.name for p in folder.iterdir())[:5]
    raise CheckpointError(
        f"no checkpoint in {folder} nor in {folder / 'train'}; {folder} holds {', '.join(names) or 'nothing'}",
        f"checkpoints are named model_epoch_000_step_00099.pth, {BEST}, {LATEST} or {LATEST_OF_CLASSES}",
        "give the results folder of a training that has reached its first checkpoint",
    )


def select_checkpoint(folder: Path, method: Method, *, epoch: int | None = None) -> Path:
    """The checkpoint that was asked for, links resolved.

    Args:
        folder: results folder of a training, or its parent.
        method: which one.
        epoch: the number in the file's name (from 0), for "from_epoch_number".

    Raises:
        CheckpointError: that very checkpoint is not there; another is never given instead.
    """
    folder = train_folder(folder)
    if method == "best_model":
        return _best(folder)
    if method == "latest_model":
        return latest_checkpoint(folder)
    return _of_epoch(folder, epoch)


def latest_checkpoint(folder: Path) -> Path:
    """The newest checkpoint of a train folder: where its link points, else the highest epoch and step.

    Raises:
        CheckpointError: there is none.
    """
    if (link := latest_link(folder)) is not None:
        return link.resolve()
    found = list_checkpoints(folder)
    if not found:
        raise CheckpointError(f"no checkpoint in {folder}", fix="run train first, or give another folder")
    return found[-1].path.resolve()


def latest_link(folder: Path) -> Path | None:
    """The link to the newest checkpoint of a train folder, by either family's name; None where there is none."""
    return next((folder / name for name in (LATEST, LATEST_OF_CLASSES) if (folder / name).is_file()), None)


def _best(folder: Path) -> Path:
    if (folder / BEST).is_file():
        return (folder / BEST).resolve()
    raise CheckpointError(
        f"{folder} has no {BEST}",
        "the best checkpoint is known only after a validation, and none was made or the file was removed",
        "train with train.validation_interval at most train.num_epochs, or use select.method=latest_model",
    )


def _of_epoch(folder: Path, epoch: int | None) -> Path:
    found = list_checkpoints(folder)
    there = ", ".join(str(e) for e in sorted({c.epoch for c in found})) or "none"
    if epoch is None:
        raise CheckpointError(
            "select.method=from_epoch_number without an epoch",
            fix=f"add select.epoch_number=N; {folder} has epochs {there}",
        )
    matching = [c for c in found if c.epoch == epoch]
    if not matching:
        raise CheckpointError(
            f"no checkpoint of epoch {epoch} in {folder}, which has epochs {there} (counted from 0)",
            "it was not written (train.checkpoint_interval) or was removed, not being among the best "
            "(train.keep_checkpoints); another epoch's checkpoint is never taken instead",
            "choose one of those, or train again with train.checkpoint_interval=1 and with train.keep_checkpoints=-1, "
            "which keeps all, or with this very select.epoch_number, which keeps that one",
        )
    return matching[-1].path.resolve()
