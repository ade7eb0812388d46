"""The embedder of metric learning: what turns the vector of a backbone, its trunk, into the embedding.

The shapes are TAO's metric-learning recognition's: NVIDIA/tao_pytorch_backend, cv/ml_recog/model/backbone.py.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

EmbedderKind = Literal["", "linear", "residual"]


def build_embedder(kind: EmbedderKind, *, width: int, dim: int) -> tuple[nn.Module, int]:
    """An embedder with random weights, and the length of its embeddings.

    Args:
        kind: "linear", one layer with a bias; "residual", see `ResidualEmbedder`; "" for none.
        width: of the trunk's vectors.
        dim: of linear embeddings; "residual" keeps the width.
    """
    if kind == "linear":
        return nn.Linear(width, dim), dim
    if kind == "residual":
        return ResidualEmbedder(width), width
    return nn.Identity(), dim


class ResidualEmbedder(nn.Module):
    """Four residual blocks, then layer norm and a linear layer, all of the trunk's width.

    TAO calls it the dual head, and uses it with FAN and NV-DINOv2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width) for _ in range(4))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, width)

    def forward(self, vectors: Tensor) -> Tensor:
        """float [B, width] to [B, width]."""
        for block in self.blocks:
            vectors = block(vectors)
        embeddings: Tensor = self.fc(self.norm(vectors))
        return embeddings


class _Block(nn.Module):
    """x + W2 GELU(W1 x), with half the width in between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width // 2)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(width // 2, width)

    def forward(self, vectors: Tensor) -> Tensor:
        """float [B, width] to [B, width]."""
        change: Tensor = self.fc2(self.act(self.fc1(vectors)))
        return vectors + change
