"""Margin heads: the ID loss on the angles between embeddings and one weight vector for each identity.

The losses are pytorch-metric-learning's; this module keeps their weights under a name and in a form of its own, and
computes them in float32.

Sources: ArcFace: Deng et al., CVPR 2019, equation 3. CosFace: Wang et al., CVPR 2018, equation 4; AM-Softmax, Wang et
al., IEEE SPL 2018, is the same formula under another name. Circle loss: Sun et al., CVPR 2020, equation 6 in its
class-level form: the similarities of an embedding are the cosines to the weight vectors of all identities, of which
one is its own.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ArcFaceLoss, CircleLoss, CosFaceLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn
from torch.func import functional_call


class MarginHead(nn.Module):
    """Cosines between embeddings and one vector for each identity, and a loss that asks for more than the right order.

    The embedding is scaled to length 1 here, so its length does not matter to this loss.

    Args:
        kind: which loss.
        dim: numbers in an embedding, D.
        num_classes: training identities.
        margin: arcface: radians added to the angle to the own identity's vector; cosface and amsoftmax: subtracted
            from its cosine; circle: the relaxation m, as similarities are pulled to 1 + m and -m.
        scale: factor of the cosines; circle: gamma.
    """

    def __init__(
        self,
        kind: Literal["arcface", "cosface", "amsoftmax", "circle"],
        *,
        dim: int,
        num_classes: int,
        margin: float,
        scale: float,
    ) -> None:
        super().__init__()
        self.kind, self.scale = kind, scale
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        nn.init.xavier_uniform_(self.weight)
        self._rule: Any
        if kind == "circle":
            self._rule = CircleLoss(m=margin, gamma=scale, reducer=MeanReducer())
        elif kind == "arcface":
            self._rule = _without_weights(ArcFaceLoss(num_classes, dim, margin=math.degrees(margin), scale=scale))
        else:
            self._rule = _without_weights(CosFaceLoss(num_classes, dim, margin=margin, scale=scale))

    def forward(self, embedding: Tensor) -> Tensor:
        """Scaled cosines float32 [B, num_classes] without the margin."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.scale * F.linear(F.normalize(embedding.float()), F.normalize(self.weight.float()))

    def loss(self, embedding: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
        """Scalar loss, the mean over the batch, in float32: half precision is too coarse for scaled cosines.

        Args:
            embedding: float [B, D].
            labels: int64 [B].
            label_smoothing: epsilon of the cross-entropy; the circle loss has none and ignores it.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            embedding, weight = embedding.float(), self.weight.float()
            loss: Tensor
            if self.kind == "circle":
                classes = torch.arange(len(weight), device=labels.device)
                loss = self._rule(embedding, labels, ref_emb=weight, ref_labels=classes)
            else:
                self._rule.cross_entropy.label_smoothing = label_smoothing
                loss = functional_call(self._rule, {"W": weight.t()}, (embedding, labels))
        return loss


class _InnerCosine(CosineSimilarity):  # type: ignore[misc]
    """Cosines kept inside (-1, 1): at either end the angle's gradient is infinite, and one image would spoil all."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """float [B, D] and [C, D] to [B, C]."""
        cosines: Tensor = super().compute_mat(query_emb, ref_emb)
        return cosines.clamp(-1 + 1e-6, 1 - 1e-6)


def _without_weights(rule: Any) -> Any:
    """The library's loss without a parameter of its own: it is given the head's for each batch."""
    del rule.W
    rule.distance = _InnerCosine()
    return rule
