"""Where a training starts: fresh, or from a checkpoint of the same experiment, never silently from another's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from reid.actions.abandoned import remove_abandoned
from reid.actions.changes import changes
from reid.actions.recipes.table import recipe_of
from reid.errors import CheckpointError, SpecError
from reid.model.checkpoint import Checkpoint, load_checkpoint
from reid.model.selection import (
    BEST,
    LATEST,
    LATEST_OF_CLASSES,
    latest_checkpoint,
    latest_link,
    list_checkpoints,
    parse_name,
)
from reid.model.settings import NetworkSettings
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)

_SHAPE = (
    "backbone", "num_classes", "feat_dim", "reduce_feat_dim", "neck", "gem_pooling", "stride_size",
    "jpm", "devide_length", "cameras", "views",
)  # fmt: skip
"""What decides which tensors a network has."""

_POSITIONS = ("pos_embed", "rel_pos", "position")
"""Parts of the names of tensors that belong to the places in an image, and so to its size."""


Row = dict[str, float]


class StartingPoint(NamedTuple):
    """Where a training goes on.

    Attributes:
        path: the checkpoint.
        history: its rows of metrics.csv; None when it lies in another folder, or an older version wrote it.
        seed: of the training so far.
    """

    path: Path
    history: tuple[Row, ...] | None
    seed: int

    @property
    def epochs_done(self) -> int:
        """Whole epochs that lie behind the checkpoint, as far as it says."""
        return int(self.history[-1]["epoch"]) + 1 if self.history else 0


def starting_point(
    spec: ExperimentSpec, folder: Path, *, fingerprints: dict[str, str], network: NetworkSettings
) -> StartingPoint | None:
    """The checkpoint to go on from, or None for a fresh start.

    `train.resume_training_checkpoint_path` wins and may be of other settings (that is the user's word). Else a latest
    checkpoint in the folder is taken when it is of the same settings and images; when it is not,
    `train.if_exists` decides: `resume` refuses, `restart_if_changed` begins anew, and does so too for another number of
    epochs and all else that changes the results. `restart` always begins anew.

    Args:
        spec: of this training.
        folder: its results folder; a restart removes the checkpoints in it, and a named checkpoint of this very folder
            the later ones.
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
        link = recipe_of(spec).latest_file
        remove_abandoned(folder, checkpoint, link=link, encryption_key=spec.encryption_key)
        return _start(checkpoint, folder)
    if not list_checkpoints(folder):
        _clear_orphan(spec, folder)
        return None
    if spec.train.if_exists == "restart":
        _clear(folder, "train.if_exists=restart")
        return None
    checkpoint = load_checkpoint(latest_checkpoint(folder), encryption_key=spec.encryption_key)
    strict = spec.train.if_exists == "restart_if_changed"
    changed = changes(spec, checkpoint, fingerprints, strict=strict)
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


def how_to_go_on(spec: ExperimentSpec) -> str:
    """What the user of a training that was stopped can do next."""
    latest = latest_link(spec.results_folder("train"))
    if latest is None:
        return "no checkpoint was written yet, so the same command begins anew"
    numbers = parse_name(latest.resolve().name)
    saved = f"{latest} (epoch {numbers[0]}, counted from 0, step {numbers[1]})" if numbers else str(latest)
    if named := spec.train.resume_training_checkpoint_path:
        return (
            f"the command with train.resume_training_checkpoint_path={latest} goes on from there; unchanged, it begins "
            f"again at {named}"
        )
    if spec.train.if_exists == "restart":
        return f"add train.if_exists=resume to the command to go on from {saved}; without it, it begins anew"
    return f"the same command goes on from {saved}"


def _start(checkpoint: Checkpoint, folder: Path) -> StartingPoint:
    path = checkpoint.path.resolve()
    return StartingPoint(
        path, checkpoint.history if path.parent == folder.resolve() else None, checkpoint.provenance["seed"]
    )


def _clear_orphan(spec: ExperimentSpec, folder: Path) -> None:
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
    links = [folder / name for name in (BEST, LATEST, LATEST_OF_CLASSES)]
    for path in [*(c.path for c in list_checkpoints(folder)), *links]:
        path.unlink(missing_ok=True)


def _require_same_network(spec: ExperimentSpec, network: NetworkSettings, checkpoint: Checkpoint) -> None:
    wanted, there = network.to_dict(), checkpoint.network.to_dict()
    sized = any(part in name for name in checkpoint.weights for part in _POSITIONS)
    keys = (*_SHAPE, "input_height", "input_width") if sized else _SHAPE
    differing = [
        f"{key} is {there[key]} in the checkpoint and {wanted[key]} here" for key in keys if wanted[key] != there[key]
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


def _require_epochs_left(spec: ExperimentSpec, checkpoint: Checkpoint) -> None:
    """A finished training may be asked for again, one that went further than asked may not."""
    if checkpoint.epoch >= spec.train.num_epochs:
        raise SpecError(
            f"{checkpoint.path} is of epoch {checkpoint.epoch} (counted from 0), and train.num_epochs is "
            f"{spec.train.num_epochs}",
            "a training cannot be made shorter afterwards",
            f"set train.num_epochs to {checkpoint.epoch + 1} or more, choose another results_dir, or add "
            "train.if_exists=restart",
        )
