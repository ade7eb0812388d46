"""What the engine is compared with: the usual way to train and embed with PyTorch and torchvision, written plainly.

Each image is opened, decoded and resized by Pillow whenever it is needed, transformed by torchvision one by one in a
torch DataLoader, and computed in float32, eager, in contiguous memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from reid.data.images import Preprocess
from reid.model.losses import ReidCriterion
from reid.model.network import ReidNetwork


class Images(Dataset[tuple[Tensor, int]]):
    """Files and labels, opened one at a time."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], transform: T.Compose) -> None:
        self.paths, self.labels, self.transform = paths, labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB")), self.labels[index]


def train_transform(pixels: Preprocess) -> T.Compose:
    """Bag-of-tricks' training transforms."""
    return T.Compose(
        [
            T.Resize((pixels.height, pixels.width)),
            T.RandomHorizontalFlip(0.5),
            T.Pad(10),
            T.RandomCrop((pixels.height, pixels.width)),
            T.ToTensor(),
            T.Normalize(pixels.mean, pixels.std),
            T.RandomErasing(0.5, scale=(0.02, 0.4), ratio=(0.3, 3.33), value=list(pixels.mean)),
        ]
    )


def test_transform(pixels: Preprocess) -> T.Compose:
    """Resize and normalise."""
    return T.Compose([T.Resize((pixels.height, pixels.width)), T.ToTensor(), T.Normalize(pixels.mean, pixels.std)])


def pk_batches(labels: Sequence[int], *, identities: int, instances: int, seed: int) -> Iterator[list[int]]:
    """One epoch of P x K batches: random identities, random images of each."""
    random = np.random.default_rng(seed)
    rows = {label: np.flatnonzero(np.asarray(labels) == label) for label in set(labels)}
    for _ in range(len(labels) // (identities * instances)):
        chosen = random.choice(list(rows), identities, replace=False)
        yield [int(i) for p in chosen for i in random.choice(rows[p], instances, replace=len(rows[p]) < instances)]


def input_seconds(dataset: Images, *, batch: int, batches: int) -> list[float]:
    """Seconds of each batch of a loader in this process, after a first one."""
    order = np.random.default_rng(0).integers(0, len(dataset), (batches + 1, batch)).tolist()
    loader = iter(DataLoader(dataset, batch_sampler=order, num_workers=0))
    return [_timed(lambda: next(loader)) for _ in range(batches + 1)][1:]


def training_epochs(
    network: ReidNetwork, criterion: ReidCriterion, dataset: Images, *, batch: int, rates: Sequence[float], workers: int
) -> Iterator[tuple[float, int]]:
    """Trains an epoch for each learning rate; yields its seconds and images."""
    optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=1.0, weight_decay=5e-4)
    for epoch, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        order = list(pk_batches(dataset.labels, identities=batch // 4, instances=4, seed=epoch))
        network.train()
        began = time.perf_counter()
        for images, labels in DataLoader(dataset, batch_sampler=order, num_workers=workers):
            loss = criterion(network.training_output(images), labels).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        yield time.perf_counter() - began, len(order) * batch


def embeddings(network: nn.Module, dataset: Images, *, batch: int, workers: int) -> Tensor:
    """Embeddings float [N, D] of a data set."""
    network.eval()
    with torch.no_grad():
        loader = DataLoader(dataset, batch_size=batch, num_workers=workers)
        return torch.cat([network(images) for images, _ in loader])


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
