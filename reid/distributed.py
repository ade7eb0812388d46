"""Facts about this process among those that train together; all of them trivial when there is only one."""

from __future__ import annotations

import os
from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def is_main_process() -> bool:
    """Whether this process writes the files; true also before the process group exists."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def rank_and_count() -> tuple[int, int]:
    """This process's rank and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather(value: T) -> list[T]:
    """The value of every process, in rank order, on every process."""
    _, count = rank_and_count()
    if count == 1:
        return [value]
    values: list[T] = [value] * count
    dist.all_gather_object(values, value)
    return values
