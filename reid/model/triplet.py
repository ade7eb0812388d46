"""Triplet losses over all images of a batch: batch-hard, and weighted by hardness. Neither makes a GPU wait."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def batch_hard_triplet(features: Tensor, labels: Tensor, *, margin: float | None) -> Tensor:
    """Mean over anchors of max(0, margin + farthest positive - nearest negative), Euclidean.

    An anchor without a positive besides itself, or without a negative, is left out; a batch of such anchors gives 0.

    Args:
        features: float32 [B, D].
        labels: int64 [B].
        margin: None uses the soft margin log(1 + exp(.)).

    Source: Hermans et al., In Defense of the Triplet Loss for Person Re-Identification, 2017, equation 5.
    """
    distances, positives, negatives = _pairs(features, labels)
    farthest = distances.masked_fill(~positives, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(~negatives, torch.inf).amin(dim=1)
    return _mean_over_anchors(farthest - nearest, positives.any(dim=1) & negatives.any(dim=1), margin)


def weighted_triplet(features: Tensor, labels: Tensor) -> Tensor:
    """Mean over anchors of log(1 + exp(weighted mean positive - weighted mean negative)), Euclidean.

    The weights are the softmax of the positives' distances and the softmax of the negatives' negated distances: hard
    pairs count most, yet all pairs learn, without a margin to choose. Anchors are left out as in `batch_hard_triplet`.

    Args:
        features: float32 [B, D].
        labels: int64 [B].

    Source: Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021, equations 9 and 10.
    An anchor is not a positive of its own here, as in the paper; in its authors' code it is one, at distance 0.
    """
    distances, positives, negatives = _pairs(features, labels)
    positive = (_softmax(distances, positives) * distances).sum(dim=1)
    negative = (_softmax(-distances, negatives) * distances).sum(dim=1)
    return _mean_over_anchors(positive - negative, positives.any(dim=1) & negatives.any(dim=1), None)


def _pairs(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances float [B, B], and bool [B, B] of the positive and of the negative pairs."""
    # Differences, not |a|^2 + |b|^2 - 2ab, which loses all digits where it matters: near zero.
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels[None, :]  # [B, 1] == [1, B] -> [B, B]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return distances, same & ~itself, ~same


def _softmax(scores: Tensor, among: Tensor) -> Tensor:
    """Softmax over the pairs of each row that are `among` [B, B]; zeros in a row without any."""
    lowest = torch.finfo(scores.dtype).min  # not -inf: a row of it has no softmax, and no gradient
    return torch.softmax(scores.masked_fill(~among, lowest), dim=1) * among


def _mean_over_anchors(gap: Tensor, usable: Tensor, margin: float | None) -> Tensor:
    """Mean of the hinge, or of its soft form, over the usable anchors [B]; 0 when there is none.

    A mask rather than a selection: how many are selected is something that a GPU would have to be asked.
    """
    gap = torch.where(usable, gap, 0.0)
    losses = F.softplus(gap) if margin is None else F.relu(gap + margin)
    return (losses * usable).sum() / usable.sum().clamp(min=1)
