"""Progress of long work: a bar on a terminal, a plain log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_LINE_EVERY_S = 10.0


@contextmanager
def progress(label: str, total: int | None, *, unit: str) -> Iterator[Callable[[int], None]]:
    """Gives a function that is called with the amount just done.

    Args:
        label: what is being done, e.g. "decoding train".
        total: the whole amount, or None when it is not known.
        unit: "B" is shown as MB; any other word as it is.
    """
    if sys.stderr.isatty():
        with _bar(label, total, unit=unit) as advance:
            yield advance
    else:
        yield _lines(label, total, unit=unit)


def amount(number: float, unit: str) -> str:
    """`12.3 MB` for bytes, `1,234 images` for everything else."""
    return f"{number / 1e6:,.1f} MB" if unit == "B" else f"{number:,.0f} {unit}"


@contextmanager
def _bar(label: str, total: int | None, *, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = DownloadColumn() if unit == "B" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=total)
        yield lambda number: bars.advance(task, number)


def _lines(label: str, total: int | None, *, unit: str) -> Callable[[int], None]:
    started = last = time.monotonic()
    done = 0

    def advance(number: int) -> None:
        nonlocal done, last
        done += number
        now = time.monotonic()
        if now - last >= _LINE_EVERY_S:
            last = now
            of = f" of {amount(total, unit)}" if total is not None else ""
            log.info("%s: %s%s after %.0f s", label, amount(done, unit), of, now - started)

    return advance
