"""Embeddings of many images: the one loop behind validation, evaluation, inference and search.

A GPU never waits for the host in it: the next images are on their way to it while it computes, and embeddings are
fetched once the work on the next batch is queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed
from torch import Tensor, nn

from reid.data.augment import to_network_input
from reid.data.feeds import sent_ahead
from reid.data.side import Side
from reid.devices import Precision, autocast
from reid.distributed import rank_and_count
from reid.retrieval.embeddings import FloatArray

ImageRows = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]
"""Gives the images uint8 [B, H, W, 3] of some row numbers [B]."""

EmbedEach = Callable[[Sequence[npt.NDArray[np.int64]]], Iterator[FloatArray]]
"""Gives the embeddings float32 [B, D] of the row numbers [B] of each of some batches, in their order."""


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
    side: Side | None = None,
    progress: Callable[[int], None] | None = None,
) -> FloatArray | None:
    """Embeddings float32 [count, D] of images 0 to count - 1, in that order; see `embed_batches`.

    Args:
        network: maps normalised float [B, 3, H, W] to [B, D]; put into evaluation mode while this runs.
        images: gives the pixels of some rows.
        count: how many images there are.
        mean: of RGB in [0, 1].
        std: of RGB in [0, 1].
        batch_size: images in one pass.
        device: where the network is.
        precision: fp32 unless training's arithmetic is wanted.
        side: camera and view of all images, for a network that takes them beside the images; None for any other.
        progress: called with the number of images done after each batch.
    """

    def embed_each(batches: Sequence[npt.NDArray[np.int64]]) -> Iterator[FloatArray]:
        read = (torch.from_numpy(images(rows)) for rows in batches)
        return _brought_back(
            embedded(rows, pixels) for rows, pixels in zip(batches, sent_ahead(read, device), strict=True)
        )

    def embedded(rows: npt.NDArray[np.int64], pixels: Tensor) -> Tensor:
        known = () if side is None else (side.rows(torch.from_numpy(rows)).to(device),)
        embeddings: Tensor = network(to_network_input(pixels, mean=mean, std=std), *known).float()
        return embeddings

    with evaluation_mode(network), torch.inference_mode(), autocast(device, precision):
        return embed_batches(embed_each, count, batch_size=batch_size, progress=progress)


def embed_batches(
    embed_each: EmbedEach, count: int, *, batch_size: int, progress: Callable[[int], None] | None = None
) -> FloatArray | None:
    """Embeddings float32 [count, D] of rows 0 to count - 1 in the main process; None in the others.

    With several processes each embeds a run of whole batches: those that one process would make, so that the numbers
    are the same. Only the main process ever holds them all, and takes them in a batch at a time.

    Args:
        embed_each: embeds batches; what it gives is taken before the next is asked for.
        count: how many rows there are.
        batch_size: rows in a batch; the last has what is left.
        progress: called in the main process with the number of rows done.
    """
    rank, ranks = rank_and_count()
    batches = [np.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    shares = [[batches[number] for number in share] for share in np.array_split(np.arange(len(batches)), ranks)]
    if rank:
        for vectors in list(embed_each(shares[rank])):  # all of them, then the main process has time
            torch.distributed.send(torch.from_numpy(vectors), dst=0)
        return None
    whole = np.empty((count, 0), np.float32)
    # The first share is never the smaller one, so it has a batch if there is any.
    for rows, vectors in zip(shares[0], embed_each(shares[0]), strict=True):
        if whole.shape[1] == 0:
            whole = np.empty((count, vectors.shape[1]), np.float32)
        whole[rows] = vectors
        if progress:
            progress(len(rows))
    for sender in range(1, ranks):
        for rows in shares[sender]:
            torch.distributed.recv(torch.from_numpy(whole[rows[0] : rows[-1] + 1]), src=sender)
            if progress:
                progress(len(rows))
    return whole


def _brought_back(results: Iterable[Tensor]) -> Iterator[FloatArray]:
    """Float32 tensors as arrays of the host; from a GPU each is waited for once the work on the next is queued."""
    fetched: deque[_Fetched] = deque()
    for result in results:
        fetched.append(_Fetched(result))
        if len(fetched) == 2 or not result.is_cuda:
            yield fetched.popleft().array()
    if fetched:
        yield fetched.popleft().array()


class _Fetched:
    """A tensor on its way to the host; from anything but a GPU it is there at once."""

    def __init__(self, result: Tensor) -> None:
        self._host = result
        self._arrived: torch.cuda.Event | None = None
        if result.is_cuda:
            self._host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            self._host.copy_(result, non_blocking=True)
            self._arrived = torch.cuda.current_stream(result.device).record_event()

    def array(self) -> FloatArray:
        """Its values, in memory of their own where they came through pinned memory, which is scarce."""
        if self._arrived is None:
            return self._host.cpu().numpy()
        self._arrived.synchronize()
        return self._host.numpy().copy()


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, the mode before it afterwards."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
