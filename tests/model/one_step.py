"""One training step of networks with batch norm, as one process or as one of several: what the tests compare.

Run as a program it is process RANK of WORLD_SIZE; the first writes its gradients and buffers to the file it is given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor, nn

from reid.distributed import rank_and_count
from reid.model.batch_norm import synchronise_batch_norm
from reid.model.losses import CenterLoss, ReidCriterion
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings


class _Step(nn.Module):
    """The losses of a batch, in one forward pass as DDP wants it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.reid = ReidNetwork(NetworkSettings("test_efficientnet", 4, 64, 32, feat_dim=8))
        self.reid_losses = ReidCriterion(
            combination="softmax_triplet", label_smoothing=0.1, margin=0.3, center=CenterLoss(4, 8), center_weight=0.5
        )
        self.recognition = ReidNetwork(
            NetworkSettings("test_efficientnet", 4, 64, 32, feat_dim=8, embedder="linear", neck="", id_loss_type="none")
        )
        self.recognition_losses = ReidCriterion(
            combination="triplet", label_smoothing=0.0, margin=0.3, mining="multi_similarity", smooth_loss=True
        )

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scalar, the sum of what a network of each family loses."""
        first: Tensor = self.reid_losses(self.reid.training_output(images), labels).total
        second: Tensor = self.recognition_losses(self.recognition.training_output(images), labels).total
        return first + second


def after_one_step() -> dict[str, Tensor]:
    """Gradients and buffers by name, in float64."""
    rank, ranks = rank_and_count()
    step = _Step()
    images = torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    if ranks > 1:
        synchronise_batch_norm(step, torch.device("cpu"))
    step.double()
    model = nn.parallel.DistributedDataParallel(step) if ranks > 1 else step
    model(images.chunk(ranks)[rank], labels.chunk(ranks)[rank]).backward()
    gradients = {name: value.grad for name, value in step.named_parameters() if value.grad is not None}
    return {**gradients, **dict(step.named_buffers())}


if __name__ == "__main__":
    meeting, output = sys.argv[1:]
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=Path(meeting).as_uri(),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )
    step = after_one_step()
    if rank_and_count()[0] == 0:
        torch.save(step, output)
    torch.distributed.destroy_process_group()
