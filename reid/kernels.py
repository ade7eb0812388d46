"""How functions are compiled: by numba, without Python's lock, and kept on disk for the next process where possible."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

log = logging.getLogger(__name__)


def kernel(*, fastmath: set[str] | bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of a compiled function.

    Numba keeps the result beside the module, or in the user's cache folder. Where neither can be written, as in a
    read-only container, the function is compiled anew in each process.

    Args:
        fastmath: LLVM's flags that may be assumed; none by default, so that sums keep their order.
    """

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            made: Callable[..., Any] = njit(nogil=True, cache=True, fastmath=fastmath)(function)
        except RuntimeError as error:  # "cannot cache function ...: no locator available"
            log.info("compiling %s anew in each process: %s", function.__name__, error)
            made = njit(nogil=True, fastmath=fastmath)(function)
        return made

    return compiled


class _FirstCompilation(event.Listener):
    """Says once in a process that it compiles, so that nobody takes those seconds for the work's own.

    A function that comes from the disk makes no event.
    """

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: event.Event) -> None:
        """A function is being compiled, of this package or of another."""
        ours = event.data["dispatcher"].py_func.__module__.startswith("reid.")
        if ours and not self._told:
            self._told = True
            log.info("compiling loops, once for this machine: the times of this first run are some 10 to 20 s longer")

    def on_end(self, event: event.Event) -> None:
        """Nothing is left to say."""


event.register("numba:compile", _FirstCompilation())  # type: ignore[no-untyped-call]
