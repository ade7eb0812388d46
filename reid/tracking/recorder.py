"""What an action writes to its run. A tracking server that fails meanwhile never costs the work."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid.tracking.params import MAX_VALUE_CHARS
from reid.tracking.settings import without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

RETRY_AFTER_S = 30.0
_PARAMS_A_BATCH = 100
_METRICS_A_BATCH = 1000


class Run:
    """A run that nobody records: what actions get when tracking is off. `RecordedRun` is the other kind.

    Attributes:
        id: MLflow's id; None here.
        parent_id: id of the run above; None for a run that stands alone.
    """

    id: str | None = None
    parent_id: str | None = None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters by flat name; a parameter once written cannot change."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Metrics by name; `step` is the epoch for figures that come by epoch."""

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """A copy of a file, or of all of a folder, below the run's `folder`."""

    def log_text(self, text: str, name: str) -> None:
        """A text file called `name`, which may hold folders."""

    def log_dict(self, value: Mapping[str, Any], name: str) -> None:
        """A JSON file called `name`."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags; a later value replaces an earlier one."""


class RecordedRun(Run):
    """A run in an MLflow store.

    What cannot be sent is kept, in order, and sent with a later call, at most every `RETRY_AFTER_S`, and last on
    `close`. Only then is it given up, with a line in the log: the files in the results folder have it all.
    """

    def __init__(self, client: MlflowClient, run_id: str, parent_id: str | None) -> None:
        self.id: str = run_id
        self.parent_id = parent_id
        self._client = client
        self._unsent: deque[Callable[[], object]] = deque()
        self._retry_at = 0.0

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters by flat name, in batches within MLflow's limits."""
        from mlflow.entities import Param

        entities = [Param(key, str(value)[:MAX_VALUE_CHARS]) for key, value in params.items()]
        for start in range(0, len(entities), _PARAMS_A_BATCH):
            batch = entities[start : start + _PARAMS_A_BATCH]
            self._send(lambda batch=batch: self._client.log_batch(self.id, params=batch))  # type: ignore[misc]

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Metrics by name, with the time of this call even when they are sent later."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        entities = [Metric(key, float(value), now_ms, step or 0) for key, value in metrics.items()]
        for start in range(0, len(entities), _METRICS_A_BATCH):
            batch = entities[start : start + _METRICS_A_BATCH]
            self._send(lambda batch=batch: self._client.log_batch(self.id, metrics=batch))  # type: ignore[misc]

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """A copy of a file or folder.

        Raises:
            FileNotFoundError: `path` does not exist.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(path)
        upload = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        self._send(lambda: upload(self.id, str(path), folder or None))

    def log_text(self, text: str, name: str) -> None:
        """A text file called `name`."""
        self._send(lambda: self._client.log_text(self.id, text, name))

    def log_dict(self, value: Mapping[str, Any], name: str) -> None:
        """A JSON file called `name`."""
        self.log_text(json.dumps(value, indent=2, default=str) + "\n", name)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags, cut at MLflow's length."""
        from mlflow.entities import RunTag

        entities = [RunTag(key, str(value)[:MAX_VALUE_CHARS]) for key, value in tags.items()]
        self._send(lambda: self._client.log_batch(self.id, tags=entities))

    def close(self, status: str) -> None:
        """Sends what is left and ends the run as FINISHED, FAILED or KILLED."""
        self._retry_at = 0.0
        self._send_all()
        if self._unsent:
            log.error("%d records of MLflow run %s could not be sent and are given up", len(self._unsent), self.id)
        end_run(self._client, self.id, status)

    def _send(self, call: Callable[[], object]) -> None:
        self._unsent.append(call)
        self._send_all()

    def _send_all(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        while self._unsent:
            try:
                self._unsent[0]()
            except _failures() as error:
                self._retry_at = time.monotonic() + RETRY_AFTER_S
                log.warning("MLflow run %s: not sent, kept for later: %s", self.id, _first_line(error))
                return
            self._unsent.popleft()


def end_run(client: MlflowClient, run_id: str, status: str) -> None:
    """Ends a run; a store that fails at this point costs a line in the log, not the work."""
    try:
        client.set_terminated(run_id, status=status)
    except _failures() as error:
        log.error("MLflow run %s could not be ended as %s: %s", run_id, status, _first_line(error))


def _failures() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, OSError)


def _first_line(error: Exception) -> str:
    return (without_passwords(str(error)).strip().splitlines() or [type(error).__name__])[0][:300]
