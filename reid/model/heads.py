"""Heads of the ID loss: what turns an embedding into one number for each training identity, and the loss on them."""

from __future__ import annotations

from typing import Literal, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from reid.errors import SpecError

HeadKind = Literal["softmax", "arcface", "cosface", "amsoftmax", "circle"]


class Head(Protocol):
    """What every head can do; it is a module, so that its weights are trained and stored."""

    @property
    def weight(self) -> Tensor:
        """Float [num_classes, D], one vector for each identity; named `<head>.weight` in a checkpoint of any kind."""
        ...

    def __call__(self, embedding: Tensor) -> Tensor:
        """Logits float [B, num_classes] of embeddings float [B, D], without any margin: for the accuracy."""
        ...

    def loss(self, embedding: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
        """Scalar ID loss, the mean over the batch, of embeddings float [B, D] and class indices int64 [B]."""
        ...


class SoftmaxHead(nn.Linear):
    """A linear layer without bias, and cross-entropy."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__(dim, num_classes, bias=False)
        nn.init.normal_(self.weight, std=0.001)

    def loss(self, embedding: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
        """Cross-entropy in float32; smoothing takes epsilon from the own identity and spreads it evenly over all.

        Source of the smoothing: Szegedy et al., Rethinking the Inception Architecture, CVPR 2016, section 7.
        """
        return F.cross_entropy(self(embedding).float(), labels, label_smoothing=label_smoothing)


def build_head(kind: HeadKind, *, dim: int, num_classes: int, margin: float = 0.5, scale: float = 30.0) -> Head:
    """A head with random weights.

    Args:
        kind: "softmax", or a margin head; see `reid.model.margins`.
        dim: numbers in an embedding, D.
        num_classes: training identities.
        margin: of a margin head: radians for arcface, cosine for the others.
        scale: of the cosines in a margin head.

    Raises:
        SpecError: a margin head is asked for, and pytorch-metric-learning is not installed.
    """
    if kind == "softmax":
        return SoftmaxHead(dim, num_classes)
    try:
        from reid.model.margins import MarginHead  # softmax trains without pytorch-metric-learning
    except ModuleNotFoundError as error:
        raise SpecError(
            f"model.id_loss_type={kind}, and {str(error.name).partition('.')[0]} is not installed",
            "the margin heads compute their loss with pytorch-metric-learning",
            "install it (`pip install pytorch-metric-learning`), or set model.id_loss_type=softmax",
        ) from error
    return MarginHead(kind, dim=dim, num_classes=num_classes, margin=margin, scale=scale)
