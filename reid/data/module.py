"""Training batches for Lightning: P x K images with their class indices, and a place in the epoch to go on from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from reid.data.feeds import Feed, Rows, feed_for
from reid.data.images import Pixels
from reid.data.sampler import PKSampler
from reid.data.side import Side
from reid.distributed import rank_and_count

Batch = tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Side]
"""Images uint8 [B, H, W, 3], class indices int64 [B], and the side information of networks that take it."""


class TrainingData(pl.LightningDataModule):
    """Serves P x K training batches, split over the processes that train together.

    Args:
        images: pixels of the whole training set, uint8 [N, H, W, 3]; a memory map will do.
        labels: class index of each image.
        batch_size: images in one batch over all processes.
        num_instances: images of each identity in a batch.
        seed: of the draw.
        cameras: camera of each image, to balance them in the draw; None for images whatever their camera.
        side: camera and view of each image, for networks that take them; None for batches without.
        keep_on_device: whether the pixels lie in the memory of the device that trains, see `feed_for`.

    Attributes:
        batch_size: see above.
        num_instances: see above.
    """

    def __init__(
        self,
        images: Pixels,
        labels: Sequence[int],
        *,
        batch_size: int,
        num_instances: int,
        seed: int,
        cameras: Sequence[int] | None = None,
        side: Side | None = None,
        keep_on_device: Literal["auto", "on", "off"] = "auto",
    ) -> None:
        super().__init__()
        self._images, self._labels, self._cameras, self._side = images, labels, cameras, side
        self.batch_size, self.num_instances, self._seed = batch_size, num_instances, seed
        self._keep = keep_on_device
        self._feed: Feed | None = None

    @property
    def images_of_this_process(self) -> int:
        """In each batch."""
        return self.batch_size // rank_and_count()[1]

    def train_dataloader(self) -> EpochLoader:
        """The loader of this process's share of the current epoch; Lightning asks anew before each."""
        epoch, device = 0, torch.device("cpu")
        if self.trainer is not None:
            epoch, device = self.trainer.current_epoch, self.trainer.strategy.root_device
        self._feed = self._feed or feed_for(self._images, device, self._keep)
        side = None if self._side is None else self._side.to(device)
        return EpochLoader(self._draw(epoch), torch.tensor(self._labels, device=device), self._feed, side)

    def rows(self, epoch: int, batch: int) -> list[int]:
        """The images of this process's share of a batch, drawn again; both numbers count from 0."""
        drawn: list[int] = self._draw(epoch)[batch].tolist()
        return drawn

    def random_batch(self, images: int, device: torch.device) -> Batch:
        """A batch of any size with the shapes and kinds of this training's, to try something out."""
        pixels = torch.randint(0, 256, (images, *self._images.shape[1:]), dtype=torch.uint8, device=device)
        rows = torch.arange(images) // self.num_instances % len(self._labels)
        labels = torch.tensor(sorted(set(self._labels)))
        batch = pixels, labels[rows % len(labels)].to(device)
        return batch if self._side is None else (*batch, self._side.rows(rows).to(device))

    def _draw(self, epoch: int) -> Rows:
        rank, ranks = rank_and_count()
        sampler = PKSampler(
            self._labels,
            batch_size=self.batch_size,
            num_instances=self.num_instances,
            seed=self._seed,
            cameras=self._cameras,
            rank=rank,
            num_ranks=ranks,
        )
        return sampler.draw(epoch)


class EpochLoader:
    """The batches of one epoch, with a place that Lightning stores in each checkpoint and gives back on resume.

    Args:
        rows: row numbers of each batch, [batches, B].
        labels: class index of each row, [N], on the device of the batches.
        feed: gives the pixels.
        side: camera and view of each row, [N], there as well; None for batches without.
    """

    def __init__(self, rows: Rows, labels: Tensor, feed: Feed, side: Side | None = None) -> None:
        self._rows, self._labels, self._feed, self._side = rows, labels, feed, side
        self._given = self._skip = 0

    def __len__(self) -> int:
        """Batches of the whole epoch, those given before a resume included."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Batch]:
        """The batches; those given before a resume are left out."""
        self._given, self._skip = self._skip, 0
        rows = self._rows[self._given :]
        places = torch.from_numpy(rows).to(self._labels.device)
        labels = self._labels[places]  # [batches, B]
        for images, labels_of_batch, batch in zip(self._feed(rows), labels, places, strict=True):
            self._given += 1
            if self._side is None:
                yield images, labels_of_batch
            else:
                yield images, labels_of_batch, self._side.rows(batch)

    def state_dict(self) -> dict[str, int]:
        """How many batches were given; 0 once all were. What is copied ahead does not count."""
        return {"given": self._given % len(self._rows)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next pass leaves out the batches that were given before."""
        self._skip = state["given"]
