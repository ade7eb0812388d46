"""The center loss: features of an identity are pulled to its center, and the centers follow the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CenterLoss(nn.Module):
    """Mean squared distance of features to the center of their class; the centers follow by their own plain SGD.

    The gradient of this loss to center c is 2/B * sum over its images of (c - x), so the SGD step has a closed form:
    the centers are a buffer that each training step moves, without a second optimiser and without the loss's weight.

    Args:
        num_classes: classes.
        dim: numbers in a feature, D.
        learning_rate: of the centers.
        seed: of their random start.

    Source: Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016, equation 2.
    """

    def __init__(self, num_classes: int, dim: int, *, learning_rate: float = 0.5, seed: int = 0) -> None:
        super().__init__()
        start = torch.randn(num_classes, dim, generator=torch.Generator().manual_seed(seed))
        self.centers: Tensor
        self.register_buffer("centers", start)  # [num_classes, D]
        self.learning_rate = learning_rate

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of float32 [B, D] features; in training mode the centers move afterwards."""
        difference = features - self.centers[labels]  # [B, D]
        loss = difference.square().sum(dim=1).mean()
        if self.training:
            self._step(difference.detach(), labels)
        return loss

    def _step(self, difference: Tensor, labels: Tensor) -> None:
        """Moves the centers; the backward pass keeps only the differences."""
        same = labels[:, None] == labels[None, :]  # [B, B]
        first = ~same.tril(diagonal=-1).any(dim=1)  # [B], the first image of each class
        # Sums stand in the rows of first images, zeros elsewhere: in whichever order a GPU adds them, all is the same.
        with torch.autocast(difference.device.type, enabled=False):
            pull = (same & first[:, None]).to(difference.dtype) @ difference  # [B, D]
        self.centers.index_add_(0, labels, pull, alpha=2 * self.learning_rate / len(labels))
