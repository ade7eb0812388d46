"""A moving average of a network's weights and buffers: smoother than the weights of any one step.

Source: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, with the exponential weights
and the growing decay of TensorFlow's ExponentialMovingAverage: early in a training the average forgets faster, since
with a decay near 1 a short training would never leave its random start.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """The exponential moving average of a network, as a network of its own in evaluation mode.

    Step t (from 0) moves it by average = d * average + (1 - d) * network, d = min(decay, (1 + t) / (10 + t)). Running
    statistics of batch norms are averaged alike; whole numbers, such as their counts of batches, are the network's.

    Args:
        network: to follow; the average starts as a copy of it.
        decay: in [0, 1).
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.network = deepcopy(network).requires_grad_(False).eval()
        self._decay = decay
        self._averages: list[Tensor] = []
        self._followed: list[Tensor] = []
        self._counts: dict[str, Tensor] = {}

    def follow(self, network: nn.Module) -> None:
        """Binds to the network's tensors on their device; again whenever the network was moved or rebuilt."""
        self.network.to(next(network.parameters()).device)
        own, followed = self.network.state_dict(), network.state_dict()  # share their memory with the networks
        floating = [name for name, tensor in own.items() if tensor.is_floating_point()]
        self._averages = [own[name] for name in floating]
        self._followed = [followed[name] for name in floating]
        self._counts = {name: tensor for name, tensor in followed.items() if not tensor.is_floating_point()}

    def update(self, step: int) -> None:
        """Moves the average after an optimiser step.

        Args:
            step: optimiser steps done before that one.
        """
        average = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        average(self._averages, self._followed, None)

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by the names they have in the network; changed by later updates."""
        return {**self.network.state_dict(), **self._counts}

    def load_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        """Takes an average, or the weights of a network to start one from."""
        self.network.load_state_dict(weights)
