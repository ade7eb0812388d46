"""Margin heads: the ID loss on the angles between embeddings and one weight vector for each identity.

How ArcFace and CosFace change the cosine to the own identity is pytorch-metric-learning's; this module finds those
cosines itself, in float32. The library looks for them by a mask, and the size of what it finds is a number that a GPU
must be waited for in each step; its circle loss likewise, so that the formula stands here.

Sources: ArcFace: Deng et al., CVPR 2019, equation 3. CosFace: Wang et al., CVPR 2018, equation 4; AM-Softmax, Wang et
al., IEEE SPL 2018, is the same formula under another name. Circle loss: Sun et al., CVPR 2020, equation 6 in its
class-level form: the similarities of an embedding are the cosines to the weight vectors of all identities, of which
one is its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn

_INSIDE = 1 - 1e-6
"""Largest cosine that a margin changes: at 1 and -1 the angle's gradient is infinite, and one image would spoil all."""


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
        self.kind, self.margin, self.scale = kind, margin, scale
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        nn.init.xavier_uniform_(self.weight)
        self._rule = _rule(kind, margin)

    def forward(self, embedding: Tensor) -> Tensor:
        """Scaled cosines float32 [B, num_classes] without the margin."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.scale * self._cosines(embedding)

    def loss(self, embedding: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
        """Scalar loss, the mean over the batch, in float32: half precision is too coarse for scaled cosines.

        Args:
            embedding: float [B, D].
            labels: int64 [B].
            label_smoothing: epsilon of the cross-entropy; the circle loss has none and ignores it.
        """
        own = labels[:, None]  # [B, 1]
        with torch.autocast(embedding.device.type, enabled=False):
            cosines = self._cosines(embedding)
            if self.kind == "circle":
                return circle_loss(cosines, own, relaxation=self.margin, gamma=self.scale)
            cosines = cosines.clamp(-_INSIDE, _INSIDE)
            with_margin = cosines.scatter(1, own, self._rule(cosines.gather(1, own)))
            return F.cross_entropy(self.scale * with_margin, labels, label_smoothing=label_smoothing)

    def _cosines(self, embedding: Tensor) -> Tensor:
        return F.linear(F.normalize(embedding.float()), F.normalize(self.weight.float()))  # [B, D], [C, D] -> [B, C]


def circle_loss(cosines: Tensor, own: Tensor, *, relaxation: float, gamma: float) -> Tensor:
    """Scalar, the mean over the batch of softplus(log-sum-exp of the others' logits + the own identity's).

    Args:
        cosines: float [B, C].
        own: int64 [B, 1], the column of each embedding's identity.
        relaxation: m; similarities are pulled to 1 + m and -m, and the boundary lies at 1 - m and m.
        gamma: scale of the similarities.
    """
    near = cosines.gather(1, own)  # [B, 1]
    pull = -gamma * F.relu(1 + relaxation - near.detach()) * (near - (1 - relaxation))
    push = gamma * F.relu(cosines.detach() + relaxation) * (cosines - relaxation)
    others = push.scatter(1, own, -torch.inf).logsumexp(1, keepdim=True)  # [B, C] -> [B, 1]
    return F.softplus(others + pull).mean()


def _rule(kind: str, margin: float) -> Callable[[Tensor], Tensor]:
    """The library's change of the cosines to the own identity; its loss is made for one class that is never used."""
    if kind == "arcface":
        loss = ArcFaceLoss(1, 1, margin=math.degrees(margin))
    else:
        loss = CosFaceLoss(1, 1, margin=margin)
    change: Callable[[Tensor], Tensor] = loss.modify_cosine_of_target_classes
    return change
