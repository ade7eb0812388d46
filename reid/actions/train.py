"""`train`: from checked images to checkpoints under TAO's names, resumable, with the best one kept."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from reid.actions.base import ActionRun, action_run
from reid.actions.processes import processes
from reid.actions.recipes.table import recipe_of
from reid.actions.result import ActionResult
from reid.actions.resume import how_to_go_on, starting_point
from reid.actions.settings import as_launched, hardware_of
from reid.actions.subsets import Subsets, open_subsets
from reid.data.merge import require_different
from reid.distributed import from_main
from reid.errors import Terminated
from reid.model.selection import BEST, list_checkpoints
from reid.spec.experiment import ExperimentSpec

if TYPE_CHECKING:
    from reid.actions.epochs import EpochLog
    from reid.devices import Hardware

log = logging.getLogger(__name__)


def train(spec: ExperimentSpec) -> ActionResult:
    """Trains a network and validates it; writes checkpoints, `metrics.csv`, `training.png` and `status.json`.

    Goes on from `train.resume_training_checkpoint_path`, else from the latest checkpoint in its folder.

    Raises:
        SpecError: a place, device or setting that cannot work; or the folder holds a training with other settings.
        DataError: the images cannot be trained or validated on.
        CheckpointError: pretrained weights or the checkpoint to resume from cannot be used.
        StorageError: the disk is full; the last checkpoint is whole.
        Terminated, KeyboardInterrupt: it was stopped by SIGTERM or Ctrl-C; says from which checkpoint it goes on.
    """
    with action_run("train", spec) as run:
        try:
            return _train(as_launched(spec, "train"), run)
        except (Terminated, KeyboardInterrupt) as stopped:
            raise type(stopped)(how_to_go_on(spec)) from None


def _train(spec: ExperimentSpec, run: ActionRun) -> ActionResult:
    hardware = hardware_of(spec)
    subsets = open_subsets(
        spec, _locations(spec), action="train", before_reading=lambda: _require_possible(spec, run.folder)
    )
    _require_usable(spec, subsets)
    with processes("train", spec, hardware):
        epochs = _trained(spec, run, subsets, hardware)
    run.status.write("RUNNING", "Training loop complete.")
    return _result(run, epochs, latest=run.folder / recipe_of(spec).latest_file)


def _trained(spec: ExperimentSpec, run: ActionRun, subsets: Subsets, hardware: Hardware) -> EpochLog:
    fingerprints = {found.name: found.fingerprint for found in subsets.report.subsets}
    network = recipe_of(spec).training().network_for(spec, subsets["train"])
    start = from_main(lambda: starting_point(spec, run.folder, fingerprints=fingerprints, network=network))
    if start and start.epochs_done == spec.train.num_epochs:
        log.info("the training in %s has all of its %d epochs: nothing is left to train", run.folder, start.epochs_done)
    elif start:
        log.info("resuming from %s", start.path)
        run.status.write("STARTED", f"Resuming training from checkpoint: {start.path}")
    seed = spec.train.seed
    if seed < 0:
        seed = start.seed if start else from_main(lambda: secrets.randbelow(2**31))
    from reid.actions.training import Training  # Lightning takes many seconds to import; bad input is told sooner

    training = Training(spec, subsets, hardware=hardware, seed=seed, start=start)
    run.begin(spec)
    run.record()  # now, as a training is resumed and watched before it ends
    run.tracker.set_tags({f"fingerprint.{name}": value for name, value in fingerprints.items()})
    run.status.write("STARTED", "Starting Training Loop.")
    epochs = training.run(run)
    if training.stopped_early:
        waited = spec.train.early_stopping
        ending = f"Training stopped early: {waited} validation(s) in a row without a better cmc_rank_1 and mAP."
        log.info("%s", ending)
        run.status.write("RUNNING", ending)
    return epochs


def _require_possible(spec: ExperimentSpec, folder: Path) -> None:
    """Tells what is wrong with network and initial weights before time is spent on images; timm is imported for it."""
    fresh = not (spec.train.resume_training_checkpoint_path or list_checkpoints(folder))
    recipe_of(spec).training().require_possible(spec, fresh=fresh)


def _locations(spec: ExperimentSpec) -> dict[str, tuple[str, str]]:
    places = dict(spec.dataset_places)
    if not (places["query"][1] or places["gallery"][1]):
        log.warning(
            "neither %s nor %s is set: training without validation, so there is no best checkpoint",
            *(places.pop(name)[0] for name in ("query", "gallery")),
        )
    return places


def _require_usable(spec: ExperimentSpec, subsets: Subsets) -> None:
    recipe = recipe_of(spec)
    require_different(subsets.report["train"])
    recipe.require_trainable(spec, subsets["train"], action="train")
    if "query" in subsets.by_name:
        recipe.require_evaluable(subsets["query"], subsets["gallery"])


def _result(run: ActionRun, epochs: EpochLog, *, latest: Path) -> ActionResult:
    files = {"latest": latest, "metrics": run.folder / "metrics.csv"}
    if (run.folder / BEST).is_file():
        files = {"best": run.folder / BEST, **files}
    if (picture := epochs.draw()) is not None:
        files["training"] = picture
        run.tracker.log_artifact(picture)
    for checkpoint in (run.folder / BEST, latest.resolve()):
        if checkpoint.is_file():
            run.tracker.log_artifact(checkpoint)
    run.tracker.log_artifact(run.folder / "metrics.csv")
    return ActionResult("train", run.folder, epochs.figures(), files, run.tracker.id)
