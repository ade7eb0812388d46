"""Which MLflow store, experiment and parent run: plain values, and where they lead."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT_URI = "sqlite:///mlflow.db"
_SQLITE = re.compile(r"^sqlite(?:\+\w+)?:///(?P<path>[^?]+)(?P<query>\?.*)?$")
_PASSWORD = re.compile(r"://[^/@\s]+@")


@dataclass(frozen=True)
class Tracking:
    """What the `mlflow.*` keys of a spec say.

    Attributes:
        enable: False makes every call of this room a no-op that never imports mlflow.
        uri: of the store; "" is MLFLOW_TRACKING_URI of the environment, else `DEFAULT_URI` in the working directory.
        experiment: name, made when it does not exist.
        model_name: name in the model registry.
        parent_run: id of the run that new runs are nested under; "" for none.
        pipeline: actions of separate processes with this name and the same spec share one parent run; "" for none.
    """

    enable: bool = False
    uri: str = ""
    experiment: str = "reid"
    model_name: str = "reid"
    parent_run: str = ""
    pipeline: str = ""

    @property
    def resolved_uri(self) -> str:
        """The store's address; a relative sqlite file is made absolute, as processes differ in their directory."""
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI", "") or DEFAULT_URI
        match = _SQLITE.match(uri)
        if match is None:
            return uri
        return f"sqlite:///{Path(match['path']).absolute()}{match['query'] or ''}"

    @property
    def database(self) -> Path | None:
        """The sqlite file; None for a server or another database."""
        match = _SQLITE.match(self.resolved_uri)
        return Path(match["path"]) if match else None

    @property
    def artifact_location(self) -> str | None:
        """Where a new experiment of a sqlite store keeps its files: `mlartifacts` beside the database.

        None elsewhere: a server decides that itself.
        """
        return (self.database.parent / "mlartifacts").as_uri() if self.database else None


def without_passwords(text: str) -> str:
    """The text with `user:password@` of any address in it replaced by `***@`."""
    return _PASSWORD.sub("://***@", text)
