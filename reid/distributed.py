"""Facts about this process among those that train together; all of them trivial when there is only one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")


def is_main_process() -> bool:
    """Whether this process writes the files; true also before the process group exists."""
    if (group := _group()) is not None:
        return bool(group.get_rank() == 0)
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def rank_and_count() -> tuple[int, int]:
    """This process's rank and how many there are."""
    if (group := _group()) is not None:
        return group.get_rank(), group.get_world_size()
    return 0, 1


def share_buffers(module: nn.Module) -> None:
    """Gives every process the main process's buffers: without SyncBatchNorm, running statistics differ between them."""
    if (group := _group()) is not None:
        for buffer in module.buffers():
            group.broadcast(buffer, src=0)


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of every process's tensor, on every process; `tensor` itself where there is one process."""
    if (group := _group()) is None:
        return tensor
    total = tensor.clone()
    group.all_reduce(total)
    return total


def gather(value: T) -> list[T]:
    """The value of every process, in rank order, on every process."""
    group = _group()
    if group is None:
        return [value]
    values: list[T] = [value] * group.get_world_size()
    group.all_gather_object(values, value)
    return values


def gather_tensors(tensor: Tensor) -> list[Tensor]:
    """The tensor of every process, in rank order, on every process; of one shape everywhere, and without gradient."""
    group = _group()
    if group is None:
        return [tensor]
    tensors = [tensor.new_empty(tensor.shape) for _ in range(group.get_world_size())]
    group.all_gather(tensors, tensor.contiguous())
    return tensors


def _group() -> Any:
    """`torch.distributed` with its process group, or None. A program that has not imported torch has none."""
    distributed = sys.modules.get("torch.distributed")
    ready = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if ready else None
