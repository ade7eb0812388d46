"""What surrounds every action: its folder, status lines, the resolved spec, the MLflow run, and an honest end."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from reid.distributed import is_main_process
from reid.errors import ReidError, StorageError
from reid.files import write_json, write_text
from reid.spec.load import dump_spec
from reid.spec.re_identification import ReIdentificationSpec
from reid.status import StatusLog
from reid.tracking import Run, Tracking, start_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActionRun:
    """An action under way.

    Attributes:
        folder: where it writes.
        status: its status.json.
        tracker: its MLflow run; does nothing when tracking is off.
    """

    folder: Path
    status: StatusLog
    tracker: Run


@contextmanager
def action_run(action: str, spec: ReIdentificationSpec) -> Iterator[ActionRun]:
    """Opens the folder and the run of an action, and closes them by what happened inside.

    status.json ends in SUCCESS, or in FAILURE with the error's own words, and MLflow's run likewise. Processes other
    than the main one of a distributed training write and track nothing.

    Raises:
        SpecError: no results folder is set.
        StorageError: it cannot be written.
        TrackingError: tracking is on and its store cannot be reached.
    """
    main = is_main_process()
    folder = spec.results_folder(action).absolute()
    resolved = dump_spec(spec)
    if main:
        write_text(folder / "experiment.yaml", resolved)
    status = StatusLog(folder / "status.json", enabled=main)
    tracking = tracking_of(spec) if main else Tracking()
    status.write("STARTED", f"Starting ReIdentification {action}.")
    began = time.perf_counter()
    try:
        with start_run(tracking, action=action, resolved_spec=yaml.safe_load(resolved)) as tracker:
            run = ActionRun(folder, status, tracker)
            if main:
                _write_identity(action, run)
            yield run
            seconds = time.perf_counter() - began
            status.write("SUCCESS", f"{action.capitalize()} finished successfully.", seconds=round(seconds, 3))
            tracker.log_artifact(folder / "status.json")
    except BaseException as error:
        with suppress(StorageError):  # on a full disk the error itself is what the user must see
            status.write("FAILURE", _reason(error), error=type(error).__name__)
        raise
    log.info("%s finished in %.1f s: %s", action, seconds, folder)


def tracking_of(spec: ReIdentificationSpec) -> Tracking:
    """The `mlflow` section."""
    return Tracking(
        enable=spec.mlflow.enable,
        uri=spec.mlflow.tracking_uri,
        experiment=spec.mlflow.experiment,
        model_name=spec.mlflow.model_name,
        parent_run=spec.mlflow.parent_run,
        pipeline=spec.mlflow.pipeline,
    )


def _write_identity(action: str, run: ActionRun) -> None:
    """run.json: which action wrote this folder, and as which MLflow run."""
    write_json(
        run.folder / "run.json",
        {
            "action": action,
            "run_id": run.tracker.id,
            "parent_run_id": run.tracker.parent_id,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, ReidError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted by the user."
    return f"{type(error).__name__}: {error}"
