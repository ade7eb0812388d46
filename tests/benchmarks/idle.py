"""How long a GPU stands still while it trains: the time between two steps that no kernel of it covers.

torch.profiler writes down when each kernel ran. Kernels of several streams overlap, so their union counts, not their
sum; copies and memory that is cleared are no kernels.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile


def idle_share(training: Callable[[], Any], *, skip: int, steps: int) -> float:
    """Share in [0, 1] of the wall time of some steps in which no kernel ran, everything between the steps included.

    Args:
        training: runs at least `skip + steps` optimiser steps on a GPU.
        skip: steps before it is measured, while memory is taken and algorithms are tried.
        steps: to measure.

    Raises:
        ValueError: the training was shorter.
    """
    profiler = profile(activities=[ProfilerActivity.CUDA])
    done, began, wall_us = 0, 0.0, 0.0

    def after_step(*_: Any) -> None:
        nonlocal done, began, wall_us
        done += 1
        if done == skip:
            torch.cuda.synchronize()
            profiler.start()
            began = time.perf_counter()
        elif done == skip + steps:
            torch.cuda.synchronize()
            wall_us = 1e6 * (time.perf_counter() - began)
            profiler.stop()

    hook = register_optimizer_step_post_hook(after_step)
    try:
        training()
    finally:
        hook.remove()
    if done < skip + steps:
        raise ValueError(f"the training had {done} steps, and {skip} + {steps} were asked for")
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        return 1 - covered(kernels(trace)) / wall_us


def kernels(trace: Path) -> list[tuple[float, float]]:
    """Begin and end of each kernel in a trace of torch.profiler, in microseconds."""
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    return [(event["ts"], event["ts"] + event["dur"]) for event in events if event.get("cat") == "kernel"]


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals (begin, end), which may overlap, touch, and come in any order."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
