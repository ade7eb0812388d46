"""The P x K batch of all processes: what each has computed for its own rows, gathered with gradients.

With R processes and rows f_r = f(x_r; w) on process r, each computes the same loss L of all rows, and DDP takes the
mean over processes of the gradients that arrive at w. One process would have dL/dw = sum_r dL/df_r df_r/dw. The
backward pass here gives process r the gradient R dL/df_r for its rows, so that the mean is
(1/R) sum_r R dL/df_r df_r/dw: the same. R dL/df_r is what the losses of all processes together say of f_r; as they are
the same loss, it is R times what this process's own says, and nothing need be sent.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor

from reid.distributed import rank_and_count


def whole_batch(rows: Tensor) -> Tensor:
    """The rows of all processes in the order of their ranks, [R * B, ...]; `rows` itself when there is one process.

    Args:
        rows: [B, ...], of the same shape and kind in every process. Where it requires a gradient, what is computed from
            the result must be the same in all processes.
    """
    _, ranks = rank_and_count()
    if ranks == 1:
        return rows
    gathered: Tensor = _Gathered.apply(rows)
    return gathered


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        _, ranks = rank_and_count()
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(ranks)]
        torch.distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        rank, ranks = rank_and_count()
        return gradients[0].chunk(ranks)[rank] * ranks
