"""Opens the MLflow store, within seconds or with an error that says what to do."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from reid.errors import TrackingError
from reid.files import storage_errors
from reid.tracking.settings import Tracking, without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONNECT_TIMEOUT_S = 5.0
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # MLflow's own defaults make a dead server cost minutes: 120 s a request, 7 tries.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def connect(tracking: Tracking) -> MlflowClient:
    """A client of the store; a sqlite store is made when it does not exist.

    Raises:
        TrackingError: the address is of no known kind, or nothing answers there.
    """
    uri = tracking.resolved_uri
    if urlsplit(uri).scheme in {"", "file"}:
        raise TrackingError(
            f"mlflow.tracking_uri={uri!r} is a folder",
            "MLflow no longer keeps runs in plain folders",
            "use sqlite:///PATH/mlflow.db for a local store, or the http:// address of an MLflow server",
        )
    _require_answer(uri, tracking.database)
    _prepare()
    with tracking_errors("opening the store", uri), store_lock(tracking):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(tracking: Tracking, client: MlflowClient) -> str:
    """Id of the experiment, made when it does not exist; several processes may ask at once.

    Raises:
        TrackingError: the experiment was deleted, or the store fails.
    """
    from mlflow.exceptions import MlflowException

    with tracking_errors(f"looking for the experiment {tracking.experiment!r}", tracking.resolved_uri):
        found = client.get_experiment_by_name(tracking.experiment)
        if found is None:
            try:
                return str(client.create_experiment(tracking.experiment, artifact_location=tracking.artifact_location))
            except MlflowException:
                found = client.get_experiment_by_name(tracking.experiment)
                if found is None:
                    raise
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"the MLflow experiment {tracking.experiment!r} is deleted",
            "a deleted experiment takes no runs and keeps its name",
            f"restore it (mlflow experiments restore --experiment-id {found.experiment_id}), "
            "or choose another with mlflow.experiment=NAME",
        )
    return str(found.experiment_id)


def _prepare() -> None:
    """Sets what the environment does not: no telemetry, short time limits, few log lines. Before mlflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def tracking_errors(doing: str, uri: str) -> Iterator[None]:
    """Turns what mlflow, its database and its connections raise into a TrackingError that says what was being done."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = without_passwords(str(error)).strip().splitlines()
        raise TrackingError(
            f"MLflow failed while {doing} at {without_passwords(uri)}",
            (reason[0] if reason else type(error).__name__)[:500],
            "check mlflow.tracking_uri and that the server runs; mlflow.enable=false runs without tracking",
        ) from error


@contextmanager
def store_lock(tracking: Tracking) -> Iterator[None]:
    """One process at a time in the block, for a sqlite store on this machine; no lock for a server.

    A fresh database makes its tables on the first connection, and two processes doing so at once break each other.
    """
    if tracking.database is None:
        yield
        return
    path = Path(f"{tracking.database}.lock")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _require_answer(uri: str, database: Path | None) -> None:
    """Asks once, with a time limit, before MLflow would: it tries a dead address for 20 to 100 seconds."""
    address = urlsplit(uri)
    try:
        port = address.port or _PORTS.get(address.scheme.partition("+")[0])
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(database, timeout=CONNECT_TIMEOUT_S)) as connection:
                connection.execute("PRAGMA schema_version")
        elif address.scheme in {"http", "https"}:
            # Any answer will do, a refusal too: whether it is an MLflow server shows with the first request.
            bare = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
            with suppress(urllib.error.HTTPError):
                urllib.request.urlopen(bare, timeout=CONNECT_TIMEOUT_S).close()  # noqa: S310 - http(s) only
        elif address.hostname and port is not None:
            socket.create_connection((address.hostname, port), CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError, HTTPException, sqlite3.Error) as error:
        raise TrackingError(
            f"no MLflow store answers at {without_passwords(uri)}",
            str(getattr(error, "reason", error)),
            "start the server (mlflow server --host HOST --port PORT), correct mlflow.tracking_uri, "
            "or run without tracking with mlflow.enable=false",
        ) from error
