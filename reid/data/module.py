"""Training batches for Lightning: rows of packed pixels with their class indices, P x K at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reid.data.sampler import PKSampler
from reid.distributed import rank_and_count

Batch = tuple[Tensor, Tensor]
"""Images uint8 [B, H, W, 3] and class indices int64 [B]."""


class PackedBatches(Dataset[Batch]):
    """Whole batches out of an array of pixels; there is nothing left to decode, so no worker processes are needed.

    Args:
        images: gives the pixels uint8 [B, H, W, 3] of some rows.
        labels: class index of each row.
    """

    def __init__(self, images: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]], labels: Sequence[int]) -> None:
        self._images = images
        self._labels = torch.tensor(labels, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> Batch:
        """One image and its label, as a batch of one."""
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Batch:
        """One batch; PyTorch's loader calls this with a whole batch of rows."""
        index = np.asarray(rows, dtype=np.int64)
        return torch.from_numpy(self._images(index)), self._labels[index]


class TrainingData(pl.LightningDataModule):
    """Serves P x K training batches, split over the processes that train together.

    Args:
        images: gives the pixels of some rows.
        labels: class index of each row.
        batch_size: images in one batch over all processes.
        num_instances: images of each identity in a batch.
        seed: of the draw.
        pin_memory: for asynchronous copies to a GPU.
    """

    def __init__(
        self,
        images: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]],
        labels: Sequence[int],
        *,
        batch_size: int,
        num_instances: int,
        seed: int,
        pin_memory: bool,
    ) -> None:
        super().__init__()
        self._dataset = PackedBatches(images, labels)
        self._labels = labels
        self._batch_size, self._num_instances = batch_size, num_instances
        self._seed, self._pin_memory = seed, pin_memory

    def train_dataloader(self) -> DataLoader[Batch]:
        """The loader of this process's share."""
        rank, ranks = rank_and_count()
        sampler = PKSampler(
            self._labels,
            batch_size=self._batch_size,
            num_instances=self._num_instances,
            seed=self._seed,
            rank=rank,
            num_ranks=ranks,
        )
        if self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)
        return _ResumableLoader(self._dataset, sampler, pin_memory=self._pin_memory)


class _ResumableLoader(DataLoader[Batch]):
    """A loader whose place inside the epoch Lightning stores in each checkpoint and gives back on resume."""

    def __init__(self, dataset: Dataset[Batch], sampler: PKSampler, *, pin_memory: bool) -> None:
        super().__init__(dataset, batch_sampler=sampler, collate_fn=_as_it_is, num_workers=0, pin_memory=pin_memory)
        self._place = sampler

    def state_dict(self) -> dict[str, int]:
        return self._place.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._place.load_state_dict(state)


def _as_it_is(batch: Any) -> Any:
    return batch
