"""The arithmetic of a GPU's idle time, on kernels written down by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks.idle import covered, kernels

PROGRAM = Path(__file__).with_name("training.py")


@pytest.mark.parametrize(
    ("intervals", "length"),
    [
        ([], 0),
        ([(2, 5)], 3),
        ([(0, 1), (4, 6)], 3),
        ([(4, 6), (0, 1)], 3),  # in any order
        ([(0, 2), (2, 3)], 3),  # touching
        ([(0, 4), (1, 2), (3, 6)], 6),  # one inside another, and an overlap
        ([(0, 9), (1, 2), (4, 5)], 9),  # the long one still runs when the short ones have ended
        ([(1, 3), (1, 3)], 2),
        ([(5, 5)], 0),
    ],
)
def test_the_union_of_intervals_counts_each_moment_once(intervals: list[tuple[float, float]], length: float) -> None:
    assert covered(intervals) == length


def test_only_kernels_count_and_neither_copies_nor_what_the_host_does(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    events = [
        {"ph": "X", "cat": "kernel", "name": "gemm", "ts": 10.5, "dur": 4.0},
        {"ph": "X", "cat": "gpu_memcpy", "name": "Memcpy HtoD", "ts": 15.0, "dur": 9.0},
        {"ph": "X", "cat": "gpu_memset", "name": "Memset", "ts": 30.0, "dur": 1.0},
        {"ph": "X", "cat": "gpu_user_annotation", "name": "step", "ts": 0.0, "dur": 100.0},
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 9.0, "dur": 1.0},
        {"ph": "M", "name": "process_name", "args": {}},
        {"ph": "X", "cat": "kernel", "name": "relu", "ts": 40.0, "dur": 2.5},
    ]
    trace.write_text(json.dumps({"traceEvents": events}))

    assert kernels(trace) == [(10.5, 14.5), (40.0, 42.5)]


@pytest.mark.slow  # starts a program that imports the training engine
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_machine_without_a_gpu_says_that_it_cannot_measure() -> None:
    done = subprocess.run([sys.executable, PROGRAM, "idle"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "no CUDA device" in done.stderr
