"""The losses of training: ID loss, batch-hard triplet and center loss, and their sum over a network's branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from reid.model.heads import Head


class Branch(NamedTuple):
    """What the losses need of one branch of a network; most networks have one.

    Attributes:
        features: float [B, D], before the neck: for the metric losses.
        embedding: float [B, D], after neck and dropout: for the ID loss.
        head: of this branch.
        weight: share of this branch in the ID and the triplet loss; those of a network add up to 1.
    """

    features: Tensor
    embedding: Tensor
    head: Head
    weight: float = 1.0


class LossParts(NamedTuple):
    """One batch's losses.

    Attributes:
        total: scalar to minimise.
        parts: each unweighted part by name, detached.
    """

    total: Tensor
    parts: dict[str, Tensor]


class ReidCriterion(nn.Module):
    """Weighted sum of the losses that the spec asks for.

    Args:
        combination: which of ID and triplet loss are in: "softmax", "triplet" or "softmax_triplet".
        label_smoothing: epsilon of the ID loss.
        margin: of the triplet loss; None for the soft margin log(1 + exp(.)).
        id_weight: of the ID loss.
        triplet_weight: of the triplet loss.
        center: the center loss, or None.
        center_weight: of the center loss.
    """

    def __init__(
        self,
        *,
        combination: Literal["softmax", "triplet", "softmax_triplet"],
        label_smoothing: float,
        margin: float | None,
        id_weight: float = 1.0,
        triplet_weight: float = 1.0,
        center: CenterLoss | None = None,
        center_weight: float = 0.0005,
    ) -> None:
        super().__init__()
        self.use_id = combination in ("softmax", "softmax_triplet")
        self.use_triplet = combination in ("triplet", "softmax_triplet")
        self.label_smoothing, self.margin = label_smoothing, margin
        self.weights = {"id": id_weight, "triplet": triplet_weight, "center": center_weight}
        self.center = center

    def forward(self, branches: Sequence[Branch], labels: Tensor) -> LossParts:
        """Losses of one batch; the center loss is that of the first branch alone.

        Args:
            branches: of the network, at least one.
            labels: int64 [B], class index of each image.
        """
        parts: dict[str, Tensor] = {}
        if self.use_id:
            parts["id"] = _weighted(
                branches, [b.head.loss(b.embedding, labels, label_smoothing=self.label_smoothing) for b in branches]
            )
        features = [branch.features.float() for branch in branches]  # distances lose too much in half precision
        if self.use_triplet:
            parts["triplet"] = _weighted(
                branches, [batch_hard_triplet(f, labels, margin=self.margin) for f in features]
            )
        if self.center is not None:
            parts["center"] = self.center(features[0], labels)
        total = torch.stack([self.weights[name] * value for name, value in parts.items()]).sum()
        return LossParts(total, {name: value.detach() for name, value in parts.items()})


def _weighted(branches: Sequence[Branch], losses: Sequence[Tensor]) -> Tensor:
    return torch.stack([branch.weight * loss for branch, loss in zip(branches, losses, strict=True)]).sum()


def batch_hard_triplet(features: Tensor, labels: Tensor, *, margin: float | None) -> Tensor:
    """Mean over anchors of max(0, margin + farthest positive - nearest negative), Euclidean.

    An anchor without a positive besides itself, or without a negative, is left out; a batch of such anchors gives 0.

    Args:
        features: float [B, D], not normalised.
        labels: int64 [B].
        margin: None uses the soft margin log(1 + exp(.)).

    Source: Hermans et al., In Defense of the Triplet Loss for Person Re-Identification, 2017, equation 5.
    """
    same = labels[:, None] == labels[None, :]  # [B, B]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    # Differences, not |a|^2 + |b|^2 - 2ab, which loses all digits where it matters: near zero.
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    positive = distances.masked_fill(~same | itself, -torch.inf).amax(dim=1)
    negative = distances.masked_fill(same, torch.inf).amin(dim=1)
    usable = torch.isfinite(positive) & torch.isfinite(negative)
    if not usable.any():
        return features.sum() * 0.0
    gap = (positive - negative)[usable]
    return F.softplus(gap).mean() if margin is None else F.relu(gap + margin).mean()


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
        """Scalar loss of float [B, D] features; in training mode the centers move afterwards."""
        difference = features - self.centers[labels]  # [B, D]
        loss = difference.square().sum(dim=1).mean()
        if self.training:
            self._step(difference.detach(), labels)
        return loss

    def _step(self, difference: Tensor, labels: Tensor) -> None:
        pull = torch.zeros_like(self.centers).index_add_(0, labels, difference)
        count = torch.tensor(float(len(labels)), device=pull.device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(pull)
            torch.distributed.all_reduce(count)
        self.centers.add_(pull * (2 * self.learning_rate / count))  # the backward pass keeps only the differences
