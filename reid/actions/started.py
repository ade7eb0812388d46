"""`python -m reid.actions.started PID ARGUMENTS...`: `reid ARGUMENTS`, which ends when process PID does.

A process that waits for others, on a GPU above all, may never notice that the one that started it was killed. So the
kernel is asked to end it, before anything large is imported. It takes from the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with(parent: int) -> None:
    """This process is killed when the thread that started it ends; at once where its process is gone already."""
    if (prctl := getattr(ctypes.CDLL(None), "prctl", None)) is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    sys.argv = ["reid", *sys.argv[2:]]
    runpy.run_module("reid.cli", run_name="__main__", alter_sys=True)
