"""Means of an epoch's losses: summed on the device, whole again after a resume, read only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from reid.distributed import rank_and_count, sum_over_ranks


class EpochMeans:
    """Means over the images of an epoch, of all processes together.

    Adding costs no wait for the device. A checkpoint inside an epoch holds the sums so far, so that the epoch's
    figures are those of all its batches, also when it was interrupted.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None  # [len(names) + 1], the last is the number of images

    def add(self, values: Mapping[str, Tensor], images: int) -> None:
        """Adds one batch.

        Args:
            values: scalars by name, each a mean over the batch; the names are the same for each batch.
            images: in the batch, of this process.
        """
        means = torch.stack([value.detach().float() for value in values.values()])
        exact = torch.float32 if means.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        batch = torch.cat([means.to(exact), means.new_ones(1, dtype=exact)]) * images
        self._names = tuple(values)
        self._sums = batch if self._sums is None else self._sums.to(batch) + batch

    def compute(self) -> dict[str, float]:
        """The means so far; every process calls it and gets the same. Empty before the first batch."""
        return self._divided(self._total())

    def of_this_process(self) -> dict[str, float]:
        """The means so far of this process alone; nobody else need call it."""
        return self._divided(self._sums)

    def reset(self) -> None:
        """Forgets the epoch."""
        self._names, self._sums = (), None

    def state_dict(self) -> dict[str, Any]:
        """Names and sums of all processes; every process calls it."""
        total = self._total()
        return {"names": list(self._names), "sums": None if total is None else total.cpu()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from stored sums: in the first process alone, as they are those of all."""
        rank, _ = rank_and_count()
        self._names = tuple(state["names"])
        sums = state["sums"]
        self._sums = sums if sums is None or rank == 0 else torch.zeros_like(sums)

    def _divided(self, sums: Tensor | None) -> dict[str, float]:
        if sums is None:
            return {}
        *totals, images = sums.tolist()
        return {name: total / images for name, total in zip(self._names, totals, strict=True)}

    def _total(self) -> Tensor | None:
        return None if self._sums is None else sum_over_ranks(self._sums)
