"""From the id of an MLflow run back to the files it made."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from reid.errors import TrackingError
from reid.files import storage_errors
from reid.tracking.settings import Tracking
from reid.tracking.store import connect, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

log = logging.getLogger(__name__)

_ALWAYS_THERE = {"experiment.yaml", "versions.json"}
"""Written on entry to every run; alone they are no results."""


def results_folder_of(tracking: Tracking, run_id: str, *, cache_dir: Path) -> Path:
    """The results folder of an action's run or of a pipeline's run.

    That is the folder on this machine, when its `run.json` files still name this run (a later run may have
    written over it); else a copy of the run's artifacts, laid out as results are: `<folder>/<action>/...`.

    Args:
        tracking: the store; `enable` is not looked at, as asking for a run is asking for MLflow.
        run_id: of an action, or of a pipeline whose actions are nested under it.
        cache_dir: copies go to `<cache_dir>/runs/<run_id>`, fresh at each call.

    Raises:
        TrackingError: no such run, the store cannot be reached, or neither folder nor artifacts exist.
    """
    client = connect(tracking)
    with tracking_errors(f"looking for the run {run_id!r}", tracking.resolved_uri):
        run = client.get_run(run_id)
    local = _local_folder(run)
    if local is not None:
        return local
    target = Path(cache_dir) / "runs" / run_id
    with storage_errors(target), tracking_errors(f"fetching the files of run {run_id!r}", tracking.resolved_uri):
        fetched = _download(client, run, target)
    if not fetched:
        raise TrackingError(
            f"MLflow run {run_id} has no files, and its results folder "
            f"{run.data.tags.get('reid.results_dir', '(not recorded)')} is gone or holds a later run",
            "the checkpoint of that run cannot be found",
            "name the checkpoint or a results folder instead, or run the action again",
        )
    log.info("files of MLflow run %s: %d fetched into %s", run_id, fetched, target)
    return target


def _local_folder(run: MlflowRun) -> Path | None:
    """The recorded folder, when a `run.json` in it names the run itself or, for a pipeline, names it as the parent."""
    root, own = (run.data.tags.get(tag) for tag in ("reid.results_dir", "reid.action_dir"))
    if own and run.info.run_id in _named_in(Path(own) / "run.json"):
        return Path(root) if root and Path(own).parent == Path(root) else Path(own)
    if root and any(run.info.run_id in _named_in(path) for path in sorted(Path(root).glob("*/run.json"))):
        return Path(root)
    return None


def _named_in(path: Path) -> set[str]:
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return {written.get("run_id"), written.get("parent_run_id")}
    except (OSError, ValueError, AttributeError):
        return set()


def _download(client: MlflowClient, run: MlflowRun, target: Path) -> int:
    """Number of result files fetched into `target/<action>/`, for the run and those nested under it, oldest first."""
    children = client.search_runs(
        [run.info.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        for one in [run, *sorted(children, key=lambda child: child.info.start_time)]:
            folder = temporary / one.data.tags.get("reid.action", "run")
            folder.mkdir(parents=True, exist_ok=True)
            client.download_artifacts(one.info.run_id, "", str(folder))
        fetched = sum(path.is_file() and path.name not in _ALWAYS_THERE for path in temporary.rglob("*"))
        if fetched:
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
        return fetched
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
