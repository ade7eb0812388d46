"""Batch norm over the batch of all processes, so that several of them normalise as one does.

On CUDA this is PyTorch's SyncBatchNorm, put in place by timm, whose layers may hold an activation that PyTorch's own
conversion drops. PyTorch has none for the CPU; `AcrossProcesses` is that, for layers of any kind and data of any rank.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reid.distributed import rank_and_count


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replaces the batch norms below `network`, which keeps its parameters, buffers and their names.

    Args:
        network: its children are replaced in place.
        device: where it will be trained.
    """
    if device.type == "cuda":
        from timm.layers import convert_sync_batchnorm

        for name, child in network.named_children():
            setattr(network, name, convert_sync_batchnorm(child))
        return
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            setattr(network, name, AcrossProcesses(child))
        else:
            synchronise_batch_norm(child, device)


class AcrossProcesses(_BatchNorm):
    """A batch norm whose training statistics are those of all processes' rows together.

    Each process must have as many rows as the others.

    Args:
        original: gives its parameters and buffers, and whatever it does after normalising (timm's `drop` and `act`).
    """

    def __init__(self, original: _BatchNorm) -> None:
        super().__init__(
            original.num_features, original.eps, original.momentum, original.affine, original.track_running_stats
        )
        self.weight, self.bias = original.weight, original.bias
        self.running_mean, self.running_var = original.running_mean, original.running_var
        self.num_batches_tracked = original.num_batches_tracked
        self.drop = getattr(original, "drop", nn.Identity())
        self.act = getattr(original, "act", nn.Identity())
        self.train(original.training)

    def forward(self, values: Tensor) -> Tensor:
        """Normalised values of the same shape [B, C, ...] and memory layout."""
        _, ranks = rank_and_count()
        if not self.training or ranks == 1:
            normalised: Tensor = super().forward(values)
        else:
            mean, variance, count = _statistics(values)
            self._remember(mean, variance, count)
            weight = torch.ones_like(mean) if self.weight is None else self.weight
            bias = torch.zeros_like(mean) if self.bias is None else self.bias
            normalised = _Normalise.apply(values, weight, bias, mean, variance, self.eps)
        activated: Tensor = self.act(self.drop(normalised))
        return activated

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics as PyTorch's batch norm does, by the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), share)

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # the layer that this one replaces has its place already


def _statistics(values: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean [C], biased variance [C] and count of each channel over all processes, in float32 or better."""
    _, ranks = rank_and_count()
    variance, mean = torch.var_mean(_precise(values.detach()), dim=_all_but_channels(values), correction=0)
    own = torch.stack([mean, variance])  # [2, C]
    parts = [torch.empty_like(own) for _ in range(ranks)]
    torch.distributed.all_gather(parts, own)
    means, variances = torch.stack(parts).unbind(dim=1)  # [R, C] each
    whole = means.mean(dim=0)
    # Parts of equal size: the variance of the whole is the mean variance plus the variance of the means.
    spread = variances.mean(dim=0) + (means - whole).square().mean(dim=0)
    return whole, spread, ranks * values.numel() // values.shape[1]


class _Normalise(torch.autograd.Function):
    """y = weight * x' + bias with x' = (x - mean) / sqrt(variance + eps), mean and variance depending on all x.

    Its gradient is dx = weight / sqrt(variance + eps) * (dy - mean(dy) - x' mean(dy x')), means over all processes.
    """

    @staticmethod
    def forward(
        context: Any, values: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        scale = torch.rsqrt(variance + eps)
        context.save_for_backward(values, weight, mean, scale)
        shape = _per_channel(values)
        factor = weight * scale
        shift = bias - mean * factor
        return torch.addcmul(shift.view(shape), _precise(values), factor.view(shape)).to(values.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, scale = context.saved_tensors
        shape, over = _per_channel(values), _all_but_channels(values)
        outer = _precise(gradients[0])
        standard = (_precise(values) - mean.view(shape)) * scale.view(shape)
        of_bias, of_weight = outer.sum(dim=over), (outer * standard).sum(dim=over)  # [C], of this process's rows
        sums = torch.stack([of_bias, of_weight])
        torch.distributed.all_reduce(sums)
        _, ranks = rank_and_count()
        means = sums / (ranks * values.numel() // values.shape[1])
        inner = outer - means[0].view(shape) - standard * means[1].view(shape)
        of_values = (inner * (weight * scale).view(shape)).to(values.dtype)
        return of_values, of_weight, of_bias, None, None, None


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _all_but_channels(values: Tensor) -> list[int]:
    return [dim for dim in range(values.dim()) if dim != 1]


def _per_channel(values: Tensor) -> list[int]:
    """Shape in which [C] broadcasts over [B, C, ...]."""
    return [1, -1, *[1] * (values.dim() - 2)]
