"""Command lines in processes of their own that start in a blink: forks of one that has imported the engine already."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from reid.cli import main
from reid.spec.load import dump_spec
from reid.spec.re_identification import ReIdentificationSpec

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.actions.processes", "reid.actions.train", "reid.actions.training"])


def warm_up() -> None:
    """Imports the engine, once; the first command would do it else."""
    process = _CONTEXT.Process(target=int)
    process.start()
    process.join()


def command(
    action: str, spec: ReIdentificationSpec, folder: Path, *, memory_mb: int | None = None
) -> ForkServerProcess:
    """`reid <action> -e <spec>`, started; one thread computes. What it says goes to `folder`/said.txt.

    Args:
        memory_mb: that it may take in addition to what the engine takes by itself.
    """
    folder.mkdir(exist_ok=True)
    file = folder / "spec.yaml"
    file.write_text(dump_spec(spec))
    process = _CONTEXT.Process(
        target=_run, args=([action, "-e", str(file), "cpu_threads=1"], str(folder / "said.txt"), memory_mb), daemon=True
    )
    process.start()
    return process


def wait_for(happened: Callable[[], bool], process: ForkServerProcess, *, timeout_s: float = 60) -> bool:
    """Whether it happened before the process ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if happened():
            return True
        if process.exitcode is not None:
            return happened()
        time.sleep(0.001)
    raise TimeoutError(f"it did not happen within {timeout_s} s")


def _run(arguments: list[str], output: str, memory_mb: int | None) -> None:
    if memory_mb is not None:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory_mb * 2**20,) * 2)
    with Path(output).open("a") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    sys.exit(main(arguments))
