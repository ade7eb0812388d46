"""status.json: TAO's stream of JSON lines about an action, with figures as numbers and an honest last line."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from reid import guard
from reid.files import storage_errors

log = logging.getLogger(__name__)

Status = Literal["STARTED", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED"]

_GROUP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""Sent to all processes of a service or terminal, the guard among them."""


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
        line = guard.status_line(status, message, **facts, **({"kpi": kpi} if kpi else {}))
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Sees to it that what is written in this block ends in SUCCESS or FAILURE, even when this process is killed.

        A small process of its own session waits for that, until the block ends. An earlier run whose guard was killed
        as well is closed first. Where no process can be started, the next run in the folder does it.
        """
        if not self._enabled:
            yield
            return
        with storage_errors(self._path):
            if guard.close_record(self._path):
                log.warning("%s: an earlier run had ended without a word", self._path)
        start = self._path.stat().st_size if self._path.exists() else 0
        with _guard(self._path, start):
            yield


@contextmanager
def _guard(path: Path, start: int) -> Iterator[None]:
    reading, low = os.pipe()
    writing = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3)  # where standard output is closed, it must not be the pipe
    os.close(low)
    owner = os.getpid()
    process = None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _GROUP_SIGNALS)  # the guard inherits that and outlives them
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(owner), str(path.absolute()), str(start)],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",  # to keep no disk busy
            start_new_session=True,
        )
    except OSError as error:
        log.warning("nothing will close %s if this process is killed: %s", path, error)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reading)
    try:
        yield
    finally:
        if os.getpid() == owner:  # not in a fork
            if process is not None:
                process.kill()
                process.wait()
            os.close(writing)
