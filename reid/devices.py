"""Which device and which precision the work runs on."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from reid.errors import SpecError

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "fp32", "fp16", "bf16"]
Precision = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class Hardware:
    """Where a training runs.

    Attributes:
        device: kind of device of each process.
        processes: how many train together on this machine; on a GPU one for each of `gpu_ids`.
        gpu_ids: CUDA indices.
        num_nodes: machines.
        precision: arithmetic.
        cudnn_benchmark: let cuDNN try its algorithms.
        cudnn_deterministic: only repeatable algorithms.
    """

    device: torch.device
    processes: int = 1
    gpu_ids: tuple[int, ...] = (0,)
    num_nodes: int = 1
    precision: Precision = "fp32"
    cudnn_benchmark: bool = False
    cudnn_deterministic: bool = True


def choose_device(choice: DeviceChoice, *, index: int = 0) -> torch.device:
    """The device to work on; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Args:
        choice: what the user asked for.
        index: which CUDA device.

    Raises:
        SpecError: the device that was asked for is not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(n for n, there in available.items() if there) if choice == "auto" else choice
    if not available[name]:
        raise SpecError(
            f"device={choice}, but PyTorch {torch.__version__} finds no such device here",
            "nothing could be computed on it",
            "use device=auto or device=cpu, or install a PyTorch build and driver for that device",
        )
    if name == "cuda" and index >= torch.cuda.device_count():
        raise SpecError(
            f"GPU {index} was asked for, and this machine shows {torch.cuda.device_count()} (0 to "
            f"{torch.cuda.device_count() - 1})",
            fix="choose an index that exists with gpu_ids, and look at CUDA_VISIBLE_DEVICES",
        )
    return torch.device(name, index) if name == "cuda" else torch.device(name)


def use_cpu_threads(count: int) -> None:
    """Sets how many threads compute on the CPU; 0 leaves PyTorch's choice (OMP_NUM_THREADS, else all cores)."""
    if count > 0:
        torch.set_num_threads(count)


def keep_freed_memory() -> None:
    """Tells glibc to keep the memory that tensors on the CPU leave, for the next ones.

    By default each large tensor is mapped anew, and the kernel fills its pages with zeros when they are first touched:
    measured, a third of a training step. Call it before the first large tensor; elsewhere than on glibc it does
    nothing, and neither does it where the user set one of glibc's own MALLOC_ variables. Within a limit to the address
    space (`ulimit -v`) memory must not stay in pieces, and only one pool is used: each takes 64 MB of addresses.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        _spare_memory()
    elif (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, -1)


def give_back_freed_memory() -> None:
    """Undoes `keep_freed_memory`, and gives what tensors have left to the system, on a GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    _spare_memory()


def _spare_memory() -> None:
    """Slower, but with the least memory in pieces: each large tensor is mapped for itself, and all threads share."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**17)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**17)
        libc.malloc_trim(0)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h


def choose_precision(choice: PrecisionChoice, device: torch.device, *, depthwise: bool = False) -> Precision:
    """The arithmetic to train in; `auto` is the fastest that trains well on the device.

    On a GPU that is bf16 where it is computed natively, fp16 on older ones. On a CPU it is fp32, but bf16 where the CPU
    multiplies bf16 tiles (AMX) and the network has no depthwise convolutions, which are slower in it.

    Args:
        choice: what the user asked for.
        device: where the network is.
        depthwise: whether it has depthwise convolutions.

    Raises:
        SpecError: fp16 on a CPU, where its gradients cannot be scaled and its arithmetic is slower than fp32.
    """
    if choice == "fp16" and device.type == "cpu":
        raise SpecError(
            "train.precision=fp16 on a CPU",
            "half-precision training needs gradient scaling and fast fp16 arithmetic, which CPUs do not offer",
            "use train.precision=auto, bf16 or fp32",
        )
    if choice != "auto":
        return choice
    if device.type == "cpu":
        return "bf16" if _multiplies_tiles() and not depthwise else "fp32"
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def _multiplies_tiles() -> bool:
    tell = getattr(torch.cpu, "get_capabilities", None)  # not in the oldest PyTorch that is supported
    return tell is not None and bool(tell().get("amx_bf16", False))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """The autocast region for a precision; nothing for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
