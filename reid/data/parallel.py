"""Work on many images by all cores, results in order, memory bounded.

Threads, not processes: Pillow releases the interpreter lock while it decodes and resizes. Measured on 2 cores, 3,968
JPEGs of 48x128 to 256x128: one thread 2.4 s, two threads in chunks 1.75 s, two processes 2.0 s. Threads also need no
importable `__main__`, no second copy of the library, and no copy of the pixels.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32
"""Items a thread takes at once: fewer hand-overs of the interpreter lock, measured 25 % quicker than single items."""


def map_chunks(
    function: Callable[[Sequence[Item]], Result], items: Sequence[Item], *, workers: int | None = None
) -> Iterator[Result]:
    """Yields `function(chunk)` for consecutive chunks of `items`, in order.

    At most four chunks a worker are computed ahead of the consumer. The first exception is raised at its place in the
    order, and work that has not begun is dropped.

    Args:
        workers: threads; None for one a core that this process may use.
    """
    workers = workers or usable_cores()
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="images") as pool:
        try:
            for chunk in chunks:
                ahead.append(pool.submit(function, chunk))
                if len(ahead) >= 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def usable_cores() -> int:
    """Cores this process may run on, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
