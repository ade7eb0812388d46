"""The losses of training: ID, triplet and center loss, and their weighted sum over a network's branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reid.model.center import CenterLoss
from reid.model.heads import Head
from reid.model.triplet import batch_hard_triplet, weighted_triplet
from reid.model.whole_batch import whole_batch


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
        margin: of the batch-hard triplet loss; None for the soft margin log(1 + exp(.)).
        mining: "batch_hard", or "weighted", which has a soft margin whatever `margin` is.
        normalise: scale features to length 1 in the triplet loss.
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
        mining: Literal["batch_hard", "weighted"] = "batch_hard",
        normalise: bool = False,
        id_weight: float = 1.0,
        triplet_weight: float = 1.0,
        center: CenterLoss | None = None,
        center_weight: float = 0.0005,
    ) -> None:
        super().__init__()
        self.use_id = combination in ("softmax", "softmax_triplet")
        self.use_triplet = combination in ("triplet", "softmax_triplet")
        self.label_smoothing = label_smoothing
        self.margin, self.mining, self.normalise = margin, mining, normalise
        self.weights = {"id": id_weight, "triplet": triplet_weight, "center": center_weight}
        self.center = center

    def forward(self, branches: Sequence[Branch], labels: Tensor) -> LossParts:
        """Losses of one batch; the center loss is that of the first branch alone.

        With several processes the ID loss is of this one's images, and its mean over processes that of the batch;
        triplet and center loss are those of the whole batch in every process (see `whole_batch`).

        Args:
            branches: of the network, at least one.
            labels: int64 [B], class index of each image.
        """
        parts: dict[str, Tensor] = {}
        if self.use_id:
            parts["id"] = _weighted(
                branches, [b.head.loss(b.embedding, labels, label_smoothing=self.label_smoothing) for b in branches]
            )
        # Metric losses compare the images of all processes, in float32: distances lose too much in half precision.
        features = [whole_batch(branch.features.float()) for branch in branches]
        everyone = whole_batch(labels)
        if self.use_triplet:
            parts["triplet"] = _weighted(branches, [self._triplet(f, everyone) for f in features])
        if self.center is not None:
            parts["center"] = self.center(features[0], everyone)
        total = torch.stack([self.weights[name] * value for name, value in parts.items()]).sum()
        return LossParts(total, {name: value.detach() for name, value in parts.items()})

    def _triplet(self, features: Tensor, labels: Tensor) -> Tensor:
        if self.normalise:
            features = F.normalize(features)
        if self.mining == "weighted":
            return weighted_triplet(features, labels)
        return batch_hard_triplet(features, labels, margin=self.margin)


def _weighted(branches: Sequence[Branch], losses: Sequence[Tensor]) -> Tensor:
    return torch.stack([branch.weight * loss for branch, loss in zip(branches, losses, strict=True)]).sum()
