"""How the pixels of training batches reach the device that trains: from its own memory, or from the host's.

A feed takes the row numbers of an epoch's batches and yields the images of each. Three of them: the whole pack in the
device's memory (`resident`), rows copied out of the pack as they are needed (`from_host`), and the same with pinned
buffers from which the next batch is copied to the GPU while this one computes (`copied_ahead`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reid.data.images import Pixels
from reid.data.placing import sent
from reid.errors import SpecError

log = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]
Feed = Callable[[Rows], Iterator[Tensor]]
"""Row numbers [batches, B] to one uint8 [B, H, W, 3] for each batch."""

_SHARE = 0.5  # of the free memory that `auto` lets the pixels take
_ROWS_AT_ONCE = 2048  # copied to the device, so that the host never holds a second copy of all


def feed_for(pixels: Pixels, device: torch.device, keep: Literal["auto", "on", "off"]) -> Feed:
    """The feed of a training on `device`, told in one log line.

    Args:
        pixels: uint8 [N, H, W, 3]; a memory map will do.
        keep: in the device's memory: "on", "off", or "auto": on a GPU of whose free memory they take less than half.

    Raises:
        SpecError: `keep` is "on" and the GPU has no room.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    size = f"{len(pixels)} training images of {pixels.shape[1]}x{pixels.shape[2]}, {pixels.nbytes / 1e9:.2f} GB"
    room = "" if free is None else f" ({free / 1e9:.2f} GB were free)"
    if keep == "on" and free is not None and pixels.nbytes > free:
        raise SpecError(
            f"{size}, and {device} has {free / 1e9:.2f} GB free",
            "dataset.keep_on_gpu is on",
            "set dataset.keep_on_gpu=auto, which reads from the host what the GPU has no room for",
        )
    if keep == "on" or (keep == "auto" and free is not None and pixels.nbytes < _SHARE * free):
        log.info("%s: kept in the memory of %s%s", size, device, room)
        return partial(resident, to_device(pixels, device))
    if device.type == "cuda":
        log.info("%s: on the host, copied to %s a batch ahead%s", size, device, room)
        return partial(copied_ahead, pixels, device)
    log.info("%s: copied out of the pack batch by batch", size)
    return partial(from_host, pixels)


def resident(pixels: Tensor, rows: Rows) -> Iterator[Tensor]:
    """Gathers batches on the device that holds `pixels`; the row numbers of all batches are sent there at once."""
    for batch in torch.from_numpy(rows).to(pixels.device):
        yield pixels.index_select(0, batch)


def from_host(pixels: Pixels, rows: Rows) -> Iterator[Tensor]:
    """Copies batches to fresh memory of the host."""
    for batch in rows:
        yield torch.from_numpy(np.take(pixels, batch, axis=0))


def copied_ahead(pixels: Pixels, device: torch.device, rows: Rows) -> Iterator[Tensor]:
    """Copies batches to memory of the host, pinned for a GPU, and sends them ahead (`sent_ahead`)."""
    shape = (rows.shape[1], *pixels.shape[1:])

    def batches() -> Iterator[Tensor]:
        for batch in rows:
            buffer = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
            np.take(pixels, batch, axis=0, out=buffer.numpy(), mode="clip")  # NumPy would buffer `out` in mode "raise"
            yield buffer

    return sent_ahead(batches(), device)


def sent_ahead(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Batches of the host on a device; the next one is on its way before this one is handed over.

    To a GPU they go from pinned memory, on a stream of their own, beside the work on the batch before. PyTorch's
    allocator of pinned memory knows of the copies: it gives a buffer out again when its copy has ended, and not before.

    Args:
        batches: in memory that is pinned already or not; nobody else may write to it.
        device: where they are needed.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    copies: deque[_Copy] = deque(maxlen=2)  # of this batch and the next
    for number, batch in enumerate(batches):
        copies.append(_Copy(batch, device, stream))
        if number:
            yield copies[0].images()
    if copies:
        yield copies[-1].images()


def to_device(pixels: Pixels, device: torch.device) -> Tensor:
    """All pixels in the device's memory, uint8 [N, H, W, 3]."""
    stored = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        part = np.array(pixels[start : start + _ROWS_AT_ONCE])
        stored[start : start + len(part)] = torch.from_numpy(part)
    return stored


class _Copy:
    """A copy of a batch that is on its way to a device; without a stream it has arrived."""

    def __init__(self, batch: Tensor, device: torch.device, stream: torch.cuda.Stream | None) -> None:
        with torch.cuda.stream(stream):  # does nothing for None
            self._images = sent(batch, device)
        self._arrived = stream.record_event() if stream else None

    def images(self) -> Tensor:
        """The images; what is computed with them on the current stream waits until they are there."""
        if self._arrived:
            current = torch.cuda.current_stream(self._images.device)
            current.wait_event(self._arrived)
            self._images.record_stream(current)  # the allocator knows of the copying stream alone
        return self._images
