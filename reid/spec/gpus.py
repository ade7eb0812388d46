"""How `num_gpus` and `gpu_ids` agree when a user gives only one of them, or both with different counts."""

from __future__ import annotations

from collections.abc import Sequence


def resolve_gpus(num_gpus: int, gpu_ids: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """The number of GPUs and their ids: whichever key asks for more GPUs wins, as in TAO.

    Ids that were named are kept when there are enough of them; otherwise they become 0, 1, 2, ...

    >>> resolve_gpus(1, [2, 3])
    (2, (2, 3))
    >>> resolve_gpus(4, [0])
    (4, (0, 1, 2, 3))
    """
    count = max(num_gpus, len(gpu_ids))
    return count, tuple(gpu_ids) if len(gpu_ids) == count else tuple(range(count))
