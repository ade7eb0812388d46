"""MLflow runs: one for each action, nested under the run of its pipeline."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reid.tracking.params import flatten, pipeline_key, without_secrets
from reid.tracking.provenance import revision_tags, versions
from reid.tracking.recorder import RecordedRun, Run, end_run
from reid.tracking.settings import Tracking, without_passwords
from reid.tracking.store import connect, experiment_id, store_lock, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

log = logging.getLogger(__name__)

_PARENT = "mlflow.parentRunId"
_PIPELINE_KEY = "reid.pipeline_key"


@contextmanager
def start_run(
    tracking: Tracking, *, action: str, resolved_spec: Mapping[str, Any], tags: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """The MLflow run of one action; a `Run` that does nothing when tracking is off.

    The spec, its flattened parameters, the git and DVC revision and the package versions are logged on entry. The run
    ends FINISHED, FAILED after an exception, or KILLED after an interruption; the exception goes on.

    Args:
        tracking: where. `parent_run` wins over `pipeline`; with neither the run stands alone.
        action: the verb; the run's name.
        resolved_spec: the whole spec as plain values. `results_dir` and `<action>.results_dir` become the tags
            `reid.results_dir` and `reid.action_dir`, by which `results_folder_of` finds the files again.
        tags: further tags; they win over ours.

    Raises:
        TrackingError: on entry only, before any work is done: the store cannot be reached, or the parent is unknown.
    """
    if not tracking.enable:
        yield Run()
        return
    client = connect(tracking)
    collected = ""
    if tracking.parent_run:
        parent = _existing_run(tracking, client, tracking.parent_run)
        experiment, parent_id = str(parent.info.experiment_id), tracking.parent_run
    else:
        experiment, parent_id = experiment_id(tracking, client), ""
        if tracking.pipeline:
            collected = parent_id = _parent_of_pipeline(tracking, client, experiment, resolved_spec)
    with _open_run(tracking, client, experiment, action, parent_id, _tags(action, resolved_spec, tags)) as run:
        _describe(run, resolved_spec)
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        finally:
            if collected:
                end_run(client, collected, status)


@contextmanager
def pipeline_run(
    tracking: Tracking,
    *,
    name: str,
    resolved_spec: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """The parent run of a flow: give its `id` to every action as `mlflow.parent_run`.

    Ends like the run of an action. `tracking.parent_run` nests the pipeline itself; `tracking.pipeline` has no effect.

    Raises:
        TrackingError: on entry only, as in `start_run`.
    """
    if not tracking.enable:
        yield Run()
        return
    client = connect(tracking)
    experiment = experiment_id(tracking, client)
    if tracking.parent_run:
        experiment = str(_existing_run(tracking, client, tracking.parent_run).info.experiment_id)
    spec = resolved_spec or {}
    with _open_run(tracking, client, experiment, name, tracking.parent_run, _tags("pipeline", spec, tags)) as run:
        _describe(run, spec)
        yield run


@contextmanager
def _open_run(
    tracking: Tracking, client: MlflowClient, experiment: str, name: str, parent_id: str, tags: Mapping[str, str]
) -> Iterator[RecordedRun]:
    nested = {_PARENT: parent_id} if parent_id else {}
    with tracking_errors(f"starting the run {name!r}", tracking.resolved_uri):
        made = client.create_run(experiment, run_name=name, tags={**tags, **nested})
    run = RecordedRun(client, made.info.run_id, parent_id or None)
    log.info("MLflow run %s (%s) at %s", run.id, name, without_passwords(tracking.resolved_uri))
    try:
        yield run
    except Exception as error:
        run.set_tags({"reid.error": f"{type(error).__name__}: {without_passwords(str(error))}"})
        run.close("FAILED")
        raise
    except BaseException:  # Ctrl-C, SystemExit, and how orchestrators cancel
        run.close("KILLED")
        raise
    run.close("FINISHED")


def _parent_of_pipeline(
    tracking: Tracking, client: MlflowClient, experiment: str, resolved_spec: Mapping[str, Any]
) -> str:
    """Finds or makes the run that all actions with this pipeline name and spec share; sets it RUNNING.

    On one machine a lock makes this one step. Against a server two processes may both make one: both then look
    again, agree on the oldest, and the other is deleted by its maker.
    """
    key = pipeline_key(tracking.pipeline, resolved_spec)
    with (
        tracking_errors(f"looking for the pipeline {tracking.pipeline!r}", tracking.resolved_uri),
        store_lock(tracking),
    ):
        oldest = _oldest_with(client, experiment, key)
        if oldest is None:
            tags = _tags("pipeline", resolved_spec, {"reid.pipeline": tracking.pipeline, _PIPELINE_KEY: key})
            tags.pop("reid.action_dir", None)
            own = client.create_run(experiment, run_name=tracking.pipeline, tags=tags).info.run_id
            oldest = _oldest_with(client, experiment, key) or own
            if oldest != own:
                client.delete_run(own)
            else:
                _describe(RecordedRun(client, own, None), resolved_spec)
        client.update_run(oldest, status="RUNNING")
    return oldest


def _oldest_with(client: MlflowClient, experiment: str, key: str) -> str | None:
    found = client.search_runs([experiment], filter_string=f"tags.`{_PIPELINE_KEY}` = '{key}'")
    return min(((run.info.start_time, run.info.run_id) for run in found), default=(0, None))[1]


def _existing_run(tracking: Tracking, client: MlflowClient, run_id: str) -> MlflowRun:
    with tracking_errors(f"looking for the parent run {run_id!r} (mlflow.parent_run)", tracking.resolved_uri):
        return client.get_run(run_id)


def _tags(action: str, resolved_spec: Mapping[str, Any], tags: Mapping[str, str] | None) -> dict[str, str]:
    ours = {
        "reid.action": action,
        "mlflow.source.name": f"reid {action}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **revision_tags(Path.cwd()),
        **_folders(action, resolved_spec),
    }
    return {**ours, **(tags or {})}


def _folders(action: str, resolved_spec: Mapping[str, Any]) -> dict[str, str]:
    section = resolved_spec.get(action)
    own = section.get("results_dir") if isinstance(section, Mapping) else None
    root = resolved_spec.get("results_dir")
    folders = {"reid.results_dir": root, "reid.action_dir": own or (Path(root) / action if root else None)}
    return {tag: str(Path(folder).absolute()) for tag, folder in folders.items() if folder}


def _describe(run: RecordedRun, resolved_spec: Mapping[str, Any]) -> None:
    run.log_dict(versions(), "versions.json")
    if resolved_spec:
        shown = without_secrets(resolved_spec)
        run.log_params(flatten(shown))
        run.log_text(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), "experiment.yaml")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return "unknown"
