"""What surrounds every action: its folder, status lines, the resolved spec, the MLflow run, and an honest end."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import yaml

from reid.distributed import is_main_process
from reid.errors import ReidError, StorageError, Terminated
from reid.files import remove_leftovers, sole_writer, write_json, write_text
from reid.signals import terminable
from reid.spec.experiment import ExperimentSpec
from reid.spec.load import dump_spec
from reid.status import StatusLog
from reid.tracking import Run, Tracking, start_run

log = logging.getLogger(__name__)


class ActionRun:
    """An action under way.

    Args:
        action: the verb.
        spec: as it was given.
        stack: closes the MLflow run when the action ends.

    Attributes:
        folder: where it writes.
        status: its status.json.
        tracker: its MLflow run once `begin` was called; does nothing before, and when tracking is off.
    """

    def __init__(self, action: str, spec: ExperimentSpec, stack: ExitStack) -> None:
        self._action, self._spec, self._stack = action, spec, stack
        self._main = is_main_process()
        self.folder = spec.results_folder(action).absolute()
        if self._main:
            stack.enter_context(sole_writer(self.folder))
            remove_leftovers(self.folder)
        self.status = StatusLog(self.folder / "status.json", enabled=self._main)
        stack.enter_context(self.status.guarded())
        self.tracker = Run()

    def begin(self, spec: ExperimentSpec) -> None:
        """Opens the MLflow run, once the inputs are known to be good.

        Args:
            spec: with everything filled in that was left to the action, such as the checkpoint it found.
        """
        self._spec = spec
        tracking = tracking_of(spec) if self._main else Tracking()
        resolved = yaml.safe_load(dump_spec(spec))
        self.tracker = self._stack.enter_context(start_run(tracking, action=self._action, resolved_spec=resolved))

    def record(self) -> None:
        """Writes which action, spec and MLflow run made this folder: experiment.yaml and run.json.

        It is called when the results are there; a refused or failed action leaves an earlier one's record as it was.
        """
        if not self._main:
            return
        write_text(self.folder / "experiment.yaml", dump_spec(self._spec))
        write_json(
            self.folder / "run.json",
            {
                "action": self._action,
                "run_id": self.tracker.id,
                "parent_run_id": self.tracker.parent_id,
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            },
        )


@contextmanager
def action_run(action: str, spec: ExperimentSpec) -> Iterator[ActionRun]:
    """Opens the folder of an action, and closes it and its MLflow run by what happened inside.

    status.json ends in SUCCESS, or in FAILURE with the error's own words, and the MLflow run likewise; status.json does
    so even when this process is killed. Processes other than the main one of a distributed training write and track
    nothing.

    Raises:
        SpecError: no results folder is set.
        StorageError: it cannot be written.
        TrackingError: by `begin`, when tracking is on and its store cannot be reached.
        Terminated: SIGTERM came.
    """
    began = time.perf_counter()
    with terminable(), ExitStack() as stack:
        run = ActionRun(action, spec, stack)
        run.status.write("STARTED", f"Starting {spec.title} {action}.")
        try:
            yield run
            run.record()
            seconds = time.perf_counter() - began
            run.status.write("SUCCESS", f"{action.capitalize()} finished successfully.", seconds=round(seconds, 3))
            run.tracker.log_artifact(run.folder / "status.json")
        except BaseException as error:
            with suppress(StorageError):  # on a full disk the error itself is what the user must see
                run.status.write("FAILURE", _reason(error), error=type(error).__name__)
            raise
    log.info("%s finished in %.1f s: %s", action, seconds, run.folder)


def tracking_of(spec: ExperimentSpec) -> Tracking:
    """The `mlflow` section."""
    return Tracking(
        enable=spec.mlflow.enable,
        uri=spec.mlflow.tracking_uri,
        experiment=spec.mlflow.experiment,
        model_name=spec.mlflow.model_name,
        parent_run=spec.mlflow.parent_run,
        pipeline=spec.mlflow.pipeline,
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, ReidError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "; ".join(["Interrupted by the user", *map(str, error.args)])
    if isinstance(error, Terminated):
        return str(error)
    return f"{type(error).__name__}: {error}"
