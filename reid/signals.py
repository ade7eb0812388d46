"""SIGTERM and Ctrl-C: exceptions while little is at stake, a request to end while work must be saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reid.errors import Terminated


class StopRequest:
    """Whether this process was asked to stop, and by which signal.

    Attributes:
        signal: SIGTERM or SIGINT; None as long as nobody asked.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def listen(self) -> None:
        """Takes the two signals from whoever has them; call it again after a library has put its own handlers there.

        A second Ctrl-C does not wait. A second SIGTERM does: launchers send it to a whole group and to each process.
        """
        if _is_main_thread():
            signal.signal(signal.SIGTERM, self._note)
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number)


@contextmanager
def deferred(request: StopRequest) -> Iterator[None]:
    """Notes SIGTERM and Ctrl-C in `request` while the block runs, and gives them back to their handlers afterwards.

    Outside the main thread no signal can be caught, and the request never comes.
    """
    if not _is_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    request.listen()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """Turns SIGTERM into `Terminated` while the block runs, where nobody else has a handler for it.

    Raises:
        Terminated: SIGTERM came.
    """
    if not _is_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
