"""Small tensors on the device that trains, without making it wait: a plain copy to a GPU waits for what is queued."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers that never change, sent once to each device: float32 [len(values)]."""
    with torch.inference_mode(False):  # an inference tensor could not be used in a training afterwards
        return torch.tensor(values, device=device)


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers of the CPU on a device; to a GPU they go from pinned memory, beside the work that is queued there."""
    if device.type == "cuda":
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)
