"""status.json: TAO's stream of JSON lines about an action, with figures as numbers and an honest last line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Literal

from reid.files import storage_errors

Status = Literal["STARTED", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED"]


class StatusLog:
    """Appends records to a file; each is on disk when the call returns.

    Args:
        path: the file; an earlier run's records stay, as TAO's do.
        enabled: False in processes other than the main one: nothing is written.
    """

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self._path, self._enabled = path, enabled

    def write(self, status: Status, message: str, *, kpi: dict[str, Any] | None = None, **facts: Any) -> None:
        """Appends one record.

        Args:
            status: TAO's word.
            message: a sentence.
            kpi: figures that hold now; they are not repeated in later records.
            facts: further fields, e.g. epoch, max_epoch, time_per_epoch, eta.
        """
        if not self._enabled:
            return
        now = time.localtime()
        record = {
            "date": f"{now.tm_mon}/{now.tm_mday}/{now.tm_year}",
            "time": f"{now.tm_hour}:{now.tm_min}:{now.tm_sec}",
            "status": status,
            "verbosity": "ERROR" if status == "FAILURE" else "INFO",
            "message": message,
            **facts,
        }
        if kpi:
            record["kpi"] = kpi
        line = json.dumps(record, allow_nan=False) + "\n"
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
