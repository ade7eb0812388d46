"""The lines of status.json, and a small process that writes the last one when its parent was killed.

`python -I -S guard.py PID FILE START` is that process. The parent holds the other end of its standard input, whose end
thus means that the parent is gone; a parent that ends its record itself kills the guard. It takes from the standard
library alone, so that it starts in milliseconds.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys
import time
from contextlib import suppress
from typing import IO, Any

WITHOUT_A_WORD = "The process ended without a word: it was killed, or the machine ran out of memory or power."

_ENDS = ("SUCCESS", "FAILURE")
_LOOK_S = 1.0


def status_line(status: str, message: str, **facts: Any) -> str:
    """One record of status.json, with TAO's fields; `facts` follow them.

    Raises:
        ValueError: a fact is NaN or infinite.
    """
    now = time.localtime()
    record = {
        "date": f"{now.tm_mon}/{now.tm_mday}/{now.tm_year}",
        "time": f"{now.tm_hour}:{now.tm_min}:{now.tm_sec}",
        "status": status,
        "verbosity": "ERROR" if status == "FAILURE" else "INFO",
        "message": message,
        **facts,
    }
    return json.dumps(record, allow_nan=False) + "\n"


def close_record(path: str | os.PathLike[str], start: int | None = None) -> bool:
    """Ends the record of a run that did not end it itself, by FAILURE; a line cut short by a loss of power is removed.

    Args:
        path: the file; it may be missing.
        start: byte at which the run's records begin. None for the last run in the file.

    Returns:
        Whether there was such a run.
    """
    try:
        file = open(path, "r+b")  # noqa: PTH123, SIM115 - pathlib would double the time this process needs to start
    except FileNotFoundError:
        return False
    with file:
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(file, fcntl.LOCK_EX)  # the guard of a run and the run after it may come at the same time
        states = _states(file, start or 0)
        open_still = bool(states) and (states[-1] not in _ENDS if start is None else not set(states) & set(_ENDS))
        if open_still:
            file.write(status_line("FAILURE", WITHOUT_A_WORD, error="Killed").encode())
            file.flush()
            os.fsync(file.fileno())
        return open_still


def main() -> None:
    """Waits for the end of the parent."""
    parent, path, start = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    while os.getppid() == parent:  # a fork of the parent may hold the pipe for longer than the parent lives
        if select.select([0], [], [], _LOOK_S)[0]:
            break
    close_record(path, start)


def _states(file: IO[bytes], start: int) -> list[str]:
    """`status` of each record from `start` on; leaves the file at its end, without a line that was not finished."""
    file.seek(start)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(start + whole)
    file.seek(start + whole)
    states = []
    for line in content[:whole].splitlines():
        with suppress(ValueError, TypeError, KeyError):  # a line of another program
            states.append(json.loads(line)["status"])
    return states


if __name__ == "__main__":
    main()
