"""How work on a CPU is spread: compiled functions that hold no lock, in as many threads as the process may use."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def thread_count() -> int:
    """Cores this process may run on, or fewer where OMP_NUM_THREADS says so, as for the libraries beside it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(cores, int(asked)) if asked.isdigit() and int(asked) > 0 else cores


def split(count: int, parts: int) -> list[tuple[int, int]]:
    """Begin and end of at most `parts` nearly equal parts of range(count); one empty part of nothing."""
    parts = max(1, min(parts, count))
    return list(itertools.pairwise([count * part // parts for part in range(parts + 1)]))


def in_threads(work: Callable[[int, int], None], count: int) -> None:
    """Calls work(begin, end) for parts of range(count), one part a thread."""
    parts = split(count, thread_count())
    if len(parts) == 1:
        work(*parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        for _ in pool.map(lambda part: work(*part), parts):
            pass
