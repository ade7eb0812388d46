"""How functions are compiled: by numba, without Python's lock, and kept on disk for the next process where possible."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from numba import njit

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
