"""Embeddings of many images: the one loop behind validation, evaluation, inference and the export's check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from reid.data.augment import to_network_input
from reid.devices import Precision, autocast
from reid.distributed import gather, rank_and_count
from reid.retrieval.embeddings import FloatArray

ImageRows = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]
"""Gives the images uint8 [B, H, W, 3] of some row numbers [B]."""


def embed(
    network: nn.Module,
    images: ImageRows,
    count: int,
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    batch_size: int,
    device: torch.device,
    precision: Precision = "fp32",
    progress: Callable[[int], None] | None = None,
) -> FloatArray:
    """Embeddings float32 [count, D] of images 0 to count - 1, in that order.

    With several processes each embeds its share, and all of them get the whole.

    Args:
        network: maps normalised float [B, 3, H, W] to [B, D]; put into evaluation mode while this runs.
        images: gives the pixels of some rows.
        count: how many images there are.
        mean: of RGB in [0, 1].
        std: of RGB in [0, 1].
        batch_size: images in one pass.
        device: where the network is.
        precision: fp32 unless training's arithmetic is wanted.
        progress: called with the number of images done after each batch.
    """
    rank, ranks = rank_and_count()
    mine = np.arange(count, dtype=np.int64)[rank::ranks]
    parts = []
    with evaluation_mode(network), torch.inference_mode(), autocast(device, precision):
        for start in range(0, len(mine), batch_size):
            rows = mine[start : start + batch_size]
            pixels = torch.from_numpy(images(rows)).to(device, non_blocking=True)
            parts.append(network(to_network_input(pixels, mean=mean, std=std)).float().cpu())
            if progress:
                progress(len(rows))
    share = torch.cat(parts).numpy() if parts else np.empty((0, 0), np.float32)
    shares = [part for part in gather(share) if len(part)]
    if not shares:
        return np.empty((0, 0), np.float32)
    whole = np.empty((count, shares[0].shape[1]), np.float32)
    for index, part in enumerate(shares):
        whole[index::ranks] = part
    return whole


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, the mode before it afterwards."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
