"""Facts about this process among those that work together, and what they agree on; all of it trivial when there is one.

Processes are told who they are as `torchrun` tells them: by RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from reid.errors import ReidError, SpecError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Launch(NamedTuple):
    """How many processes were started together.

    Attributes:
        processes: on each machine.
        nodes: machines.
    """

    processes: int
    nodes: int


def launched() -> Launch | None:
    """What started this process together with others, `torchrun` or an action of ours; None for a process by itself.

    Raises:
        SpecError: the machines have unequal numbers of processes.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    world = int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if world % local:
        raise SpecError(
            f"{world} processes were started in all, and {local} of them on this machine",
            "batches and images are shared out equally, so every machine must run as many",
            "start torchrun with the same --nproc-per-node on each machine",
        )
    return Launch(local, world // local)


def local_rank() -> int:
    """This process's number among those of this machine: which of the GPUs is its own."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main_process() -> bool:
    """Whether this process writes the files; true also before the process group exists."""
    if (group := _group()) is not None:
        return bool(group.get_rank() == 0)
    return os.environ.get("RANK", "0") == "0"


def rank_and_count() -> tuple[int, int]:
    """This process's rank and how many there are."""
    if (group := _group()) is not None:
        return group.get_rank(), group.get_world_size()
    return 0, 1


def from_main(function: Callable[[], T]) -> T:
    """What `function` gives in the main process, in every process; the others wait and do not call it.

    Raises:
        ReidError: `function` raised it in the main process; all processes then raise the same.
    """
    if (group := _group()) is None:
        return function()
    said: list[Any] = [None, None]
    if group.get_rank() == 0:
        try:
            said = [function(), None]
        except ReidError as error:
            said = [None, error]
    group.broadcast_object_list(said, src=0)
    value, failure = said
    if failure is not None:
        raise failure
    result: T = value
    return result


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


@contextmanager
def on_its_own() -> Iterator[None]:
    """In the block this process counts as the only one, for work in which the others cannot take part any more."""
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


_alone = False


def _group() -> Any:
    """`torch.distributed` with its process group, or None. A program that has not imported torch has none."""
    if _alone:
        return None
    distributed = sys.modules.get("torch.distributed")
    ready = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if ready else None
