"""`select`: exactly the checkpoint that was asked for, copied to where the next actions look."""

from __future__ import annotations

import shutil

from reid.actions.base import action_run
from reid.actions.parent import SELECTED, SELECTION, run_folder
from reid.actions.result import ActionResult
from reid.files import atomic_path, sha256_of, write_json
from reid.model.checkpoint import load_checkpoint
from reid.model.selection import select_checkpoint
from reid.spec.experiment import ExperimentSpec


def select(spec: ExperimentSpec) -> ActionResult:
    """Selects by `select.method`; writes `model_selected.pth` and `selection.json`.

    Raises:
        CheckpointError: that very checkpoint is not there; another is never taken instead.
    """
    with action_run("select", spec) as run:
        source = run_folder(spec, spec.select.run) if spec.select.run else spec.results_folder("train")
        chosen = select_checkpoint(source, spec.select.method, epoch=spec.select.epoch_number)
        checkpoint = load_checkpoint(chosen, encryption_key=spec.encryption_key)
        run.begin(spec)
        target, selection = run.folder / SELECTED, run.folder / SELECTION
        with atomic_path(target) as temporary:
            shutil.copyfile(chosen, temporary)
        figures: dict[str, float | int | str] = {"epoch": checkpoint.epoch, "step": checkpoint.step}
        metrics = checkpoint.metrics if checkpoint.metrics_epoch == checkpoint.epoch else {}
        figures |= metrics  # an epoch without a validation of its own has no figures
        write_json(
            selection,
            {
                "method": spec.select.method,
                "from_own_training": not spec.select.run,
                "checkpoint": chosen.name,
                "sha256": sha256_of(target),
                "backbone": checkpoint.network.backbone,
                **figures,
            },
        )
        run.status.write("RUNNING", f"Selected {chosen.name}.", kpi=metrics)
        run.tracker.log_metrics(metrics)
        for file in (target, selection):
            run.tracker.log_artifact(file)
        return ActionResult(
            "select", run.folder, figures, {"checkpoint": target, "selection": selection}, run.tracker.id
        )
