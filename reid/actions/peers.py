"""The further processes of an action, for the one that starts them: their start, their end, and a watch on it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
import torch.distributed

from reid.errors import ReidError

_LAST_LINES = 6

_LOOK_S = 0.1

_GRACE_S = 2.0
"""Time for this process to fail by itself: it often finds what the other has found, and says it better."""

_AGAIN_S = 20.0
"""An exception that comes while an object is finalised is lost; the next one is not."""

_ABORT_S = 30.0
"""How long to wait for what the watch has begun: the group must not be taken down while it is aborted."""


class PeerLost(BaseException):
    """The work of this process has no end any more, as another one is gone. No `except Exception` may swallow it."""


class Peer:
    """Another process of this machine; what it logs is kept, and told only if it fails. It ends when this one does.

    Args:
        rank: its number.
        action: what it runs.
        file: the spec.
        variables: of all processes.
    """

    def __init__(self, rank: int, action: str, file: Path, variables: dict[str, str]) -> None:
        self.rank = rank
        self._log = file.with_name(f"process-{rank}.log")
        environment = {
            **os.environ,
            **variables,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reid.actions.started", str(os.getpid()), action, "-e", str(file)],
                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream,
            )  # fmt: skip

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last lines that it logged; "" for one that was ended from outside and could say nothing."""
        if self._process.returncode < 0:
            return ""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])

    def stop(self) -> None:
        """Ends it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def failure_of(peers: Sequence[Peer]) -> ReidError | None:
    """The error of the first process that ended badly; None as long as there is none."""
    for peer in peers:
        if peer.exit_code:
            ended = f"process {peer.rank} (counted from 0) of {len(peers) + 1} ended"
            if words := peer.last_words():
                return ReidError(
                    f"{ended} with exit code {peer.exit_code}, and these last words:\n{words}",
                    "the others cannot go on without it",
                    "mend what it tells",
                )
            return ReidError(
                f"{ended} by signal {-peer.exit_code}",
                "the others cannot go on without it; the system sends signal 9 for want of memory",
                "try a smaller batch or fewer processes",
            )
    return None


class Watch:
    """Inside the block, a process that ends badly ends the work of this thread too, whatever it waits for.

    A thread looks at the others' exit codes. When one failed it ends all of them, which breaks off what this process
    waits for on the CPU, aborts what it waits for on a GPU, and raises `PeerLost` in the thread of the block. Signals
    would not do: they reach the main thread only, and a training has its own use for them.

    Args:
        peers: the other processes of this machine.
        device: what this process computes on.

    Attributes:
        failure: of the first that ended badly, once that was seen.
    """

    def __init__(self, peers: Sequence[Peer], device: torch.device) -> None:
        self.failure: ReidError | None = None
        self._peers, self._device = peers, device
        self._worker = threading.get_ident()
        self._left, self._raising = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._look, name="reid-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Nothing is raised from here on, and what was about to be is taken back; it may be called twice."""
        self._left.set()
        with self._raising:
            _raise_in(self._worker, None)
        if self._thread.is_alive():
            self._thread.join(_ABORT_S)

    def _look(self) -> None:
        while (failure := failure_of(self._peers)) is None:
            if self._left.wait(_LOOK_S):
                return
        self.failure = failure
        if self._left.wait(_GRACE_S):
            return
        for peer in self._peers:
            peer.stop()
        if self._device.type == "cuda" and (world := torch.distributed.group.WORLD) is not None:
            world._get_backend(self._device).abort()
        while not self._left.is_set():
            with self._raising:
                if not self._left.is_set():
                    _raise_in(self._worker, PeerLost)
            self._left.wait(_AGAIN_S)


def await_end(peers: Sequence[Peer], timeout_s: float) -> None:
    """Returns when all have ended, or when the time is up."""
    until = time.monotonic() + timeout_s
    while any(peer.exit_code is None for peer in peers) and time.monotonic() < until:
        time.sleep(0.02)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raises an exception in a thread, before its next step in Python; None takes back one that was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None)
