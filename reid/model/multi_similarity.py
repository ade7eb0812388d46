"""Triplet loss on the pairs that multi-similarity mining leaves; both are pytorch-metric-learning's.

Source of the mining: Wang et al., Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning, CVPR
2019, equations 9 and 10.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reid.errors import SpecError


class MultiSimilarityTriplet:
    """Mean over triplets of a margin loss between a mined positive and a mined negative of the same anchor.

    A positive is kept when its cosine less `miner_margin` is below that of the anchor's nearest negative, a negative
    when its cosine plus `miner_margin` is above that of the farthest positive. All triplets of kept pairs count, with
    Euclidean distances between embeddings of length 1; without `smooth` the mean is over those with a loss above 0.

    Args:
        margin: that the negative shall be farther than the positive.
        miner_margin: epsilon of the mining; the larger, the more pairs are kept.
        smooth: log(1 + exp(margin + positive - negative)) instead of max(0, margin + positive - negative).

    Raises:
        SpecError: pytorch-metric-learning is not installed.
    """

    def __init__(self, *, margin: float, miner_margin: float, smooth: bool) -> None:
        try:
            from pytorch_metric_learning.losses import TripletMarginLoss
            from pytorch_metric_learning.miners import MultiSimilarityMiner
        except ModuleNotFoundError as error:  # re-identification trains without it
            raise SpecError(
                f"metric learning was asked for, and {str(error.name).partition('.')[0]} is not installed",
                "triplets are mined, and their loss is computed, with pytorch-metric-learning",
                "install it: pip install pytorch-metric-learning",
            ) from error
        self._miner: Any = MultiSimilarityMiner(epsilon=miner_margin)
        self._loss: Any = TripletMarginLoss(margin=margin, smooth_loss=smooth)

    def __call__(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scalar; 0, with a gradient of zeros, where no triplet is left.

        Args:
            features: float32 [B, D], of any length other than 0.
            labels: int64 [B].
        """
        with torch.autocast(features.device.type, enabled=False):  # cosines of half precision would decide the mining
            pairs = self._miner(features, labels)
            loss: Tensor = self._loss(features, labels, pairs)
        return loss
