"""The losses of training: ID, triplet and center loss, and their weighted sum over a network's branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reid.model.center import CenterLoss
from reid.model.heads import Head
from reid.model.multi_similarity import MultiSimilarityTriplet
from reid.model.triplet import batch_hard_triplet, weighted_triplet
from reid.model.whole_batch import whole_batch


class Branch(NamedTuple):
    """What the losses need of one branch of a network; most networks have one.

    Attributes:
        features: float [B, D], before the neck: for the metric losses.
        embedding: float [B, D], after neck and dropout: for the ID loss.
        head: of this branch; None where there is no ID loss.
        weight: share of this branch in the ID and the triplet loss; those of a network add up to 1.
    """

    features: Tensor
    embedding: Tensor
    head: Head | None
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
        margin: of the triplet loss; None for the soft margin log(1 + exp(.)), which multi-similarity mining has not.
        mining: "batch_hard"; "weighted", which has a soft margin whatever `margin` is; or "multi_similarity", which
            scales features to length 1 whatever `normalise` is (see `MultiSimilarityTriplet`).
        miner_margin: epsilon of multi-similarity mining.
        smooth_loss: with multi-similarity mining, softplus instead of a hinge.
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
        mining: Literal["batch_hard", "weighted", "multi_similarity"] = "batch_hard",
        miner_margin: float = 0.1,
        smooth_loss: bool = False,
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
        self._triplet = _triplet_loss(mining, margin, normalise, miner_margin, smooth_loss)
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
            parts["id"] = _weighted(branches, [self._id_loss(branch, labels) for branch in branches])
        # Metric losses compare the images of all processes, in float32: distances lose too much in half precision.
        features = [whole_batch(branch.features.float()) for branch in branches]
        everyone = whole_batch(labels)
        if self.use_triplet:
            parts["triplet"] = _weighted(branches, [self._triplet(f, everyone) for f in features])
        if self.center is not None:
            parts["center"] = self.center(features[0], everyone)
        total = torch.stack([self.weights[name] * value for name, value in parts.items()]).sum()
        return LossParts(total, {name: value.detach() for name, value in parts.items()})

    def _id_loss(self, branch: Branch, labels: Tensor) -> Tensor:
        assert branch.head is not None, "a network without an ID head is trained without an ID loss"
        return branch.head.loss(branch.embedding, labels, label_smoothing=self.label_smoothing)


def _triplet_loss(
    mining: str, margin: float | None, normalise: bool, miner_margin: float, smooth_loss: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of features float32 [B, D] and labels int64 [B]."""
    if mining == "multi_similarity":
        assert margin is not None, "mined triplets have a margin"
        return MultiSimilarityTriplet(margin=margin, miner_margin=miner_margin, smooth=smooth_loss)
    loss = weighted_triplet if mining == "weighted" else partial(batch_hard_triplet, margin=margin)
    return (lambda features, labels: loss(F.normalize(features), labels)) if normalise else loss


def _weighted(branches: Sequence[Branch], losses: Sequence[Tensor]) -> Tensor:
    return torch.stack([branch.weight * loss for branch, loss in zip(branches, losses, strict=True)]).sum()
