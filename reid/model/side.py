"""Side information embeddings: one learnt vector for each camera, view, or pair of them, added to every token.

Source: He et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021, section 3.3 and equation 5. It
differs in one thing: a camera that was not in the training gets the mean of the embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reid.data.side import Side


class SideEmbedding(nn.Module):
    """The vector to add to the tokens of each image.

    Args:
        cameras: cameras with an embedding of their own; 0 when cameras play no part.
        views: views likewise. With both, each pair of a camera and a view has an embedding.
        dim: numbers in a token, D.
        scale: factor of the embeddings (`model.sie_coe`).
    """

    def __init__(self, cameras: int, views: int, *, dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.table = nn.Parameter(torch.empty(max(cameras, 1), max(views, 1), dim))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, side: Side | None) -> Tensor:
        """Float [B, 1, D] to add; [1, 1, D], the mean of all, where nothing is known of the images.

        What is known of an image counts: with both, an unknown camera gets the mean over the cameras of its view.
        """
        if side is None:
            return self.scale * self.table.mean(dim=(0, 1), keepdim=True)
        table = torch.cat([self.table, self.table.mean(dim=0, keepdim=True)])
        table = torch.cat([table, table.mean(dim=1, keepdim=True)], dim=1)  # [cameras + 1, views + 1, D]
        return self.scale * table[side.camera, side.view].unsqueeze(1)  # index -1, unknown, is the mean
