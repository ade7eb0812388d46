"""Learning rates with TAO's rules: warm-up, then steps or a cosine, by epoch; and our own warm-up by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves; `factor` multiplies every group's own rate.

    A pure function of the place in the training: nothing to store in a checkpoint, nothing to restore from one.

    Attributes:
        method: "linear" or "constant" warm-up followed by steps, or "cosine": linear warm-up, then half a cosine.
        num_epochs: length of the training, for the cosine.
        warmup_epochs: of the cosine.
        warmup_iters: of linear and constant; counted in epochs, as TAO counts them.
        warmup_factor: first factor of linear and constant.
        warmup_steps: optimiser steps over which the rate rises from zero, whatever the method; 0 for none.
        milestones: epochs after which the rate is multiplied by gamma.
        gamma: see milestones.
    """

    method: Literal["linear", "constant", "cosine"]
    num_epochs: int
    warmup_epochs: int = 20
    warmup_iters: int = 10
    warmup_factor: float = 0.01
    warmup_steps: int = 0
    milestones: tuple[int, ...] = (40, 70)
    gamma: float = 0.1

    def factor(self, epoch: int, step: int) -> float:
        """Factor of one optimiser step.

        Args:
            epoch: counted from 0. TAO's rules count from 1: the first epoch has index 1.
            step: optimiser steps done before this one, in all epochs.
        """
        by_epoch = self._cosine(epoch + 1) if self.method == "cosine" else self._steps(epoch + 1)
        return by_epoch * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else by_epoch

    def _steps(self, index: int) -> float:
        decay = self.gamma ** sum(index >= milestone for milestone in self.milestones)
        if index >= self.warmup_iters:
            return decay
        alpha = index / self.warmup_iters if self.method == "linear" else 0.0
        return decay * (self.warmup_factor * (1 - alpha) + alpha)

    def _cosine(self, index: int) -> float:
        start, low = 0.01, 0.002
        if index < self.warmup_epochs:
            return start + index * (1 - start) / self.warmup_epochs
        return low + 0.5 * (1 - low) * (1 + math.cos(math.pi * min(index, self.num_epochs) / self.num_epochs))
