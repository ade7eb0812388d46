"""Devices and precisions: what `auto` means, and what is refused."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reid.devices import autocast, choose_device, choose_precision
from reid.errors import SpecError

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]


def test_auto_takes_the_best_device_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    assert choose_device("auto").type == expected
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_an_error_that_names_the_alternatives() -> None:
    with pytest.raises(SpecError, match=r"device=cuda.*device=auto or device=cpu"):
        choose_device("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_index_beyond_the_last_is_an_error() -> None:
    with pytest.raises(SpecError, match="GPU 99 was asked for"):
        choose_device("cuda", index=99)


def test_auto_is_bf16_on_a_cpu_only_where_it_has_matrix_tiles_and_the_network_no_depthwise_convolutions() -> None:
    tiles = "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()

    assert choose_precision("auto", CPU) == ("bf16" if tiles else "fp32")
    assert choose_precision("auto", CPU, depthwise=True) == "fp32"
    assert choose_precision("bf16", CPU, depthwise=True) == "bf16"


FAULTS = """
import resource, sys, torch
from reid.devices import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min([faults() for _ in range(32)][-8:]))  # the heap has its final size after some
"""


def test_memory_that_is_kept_is_not_mapped_anew() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | {"PYTHONPATH": str(ROOT)}

    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    if platform.libc_ver()[0] != "glibc":
        pytest.skip("glibc alone is told")
    assert faults("leave") > 10_000  # 4 KiB pages
    assert faults("keep") < 100


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(SpecError, match=r"fp16 on a CPU.*bf16 or fp32"):
        choose_precision("fp16", CPU)


def test_autocast_computes_products_in_the_chosen_precision() -> None:
    a = torch.ones(2, 2)
    with autocast(CPU, "bf16"):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert (a @ a).dtype == torch.float32
