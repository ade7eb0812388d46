"""Training batches: whole batches of rows with their labels, and a place that can be stored."""

from __future__ import annotations

import numpy as np
import torch

from reid.data.module import PackedBatches, TrainingData

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 4, 2, 3), dtype=np.uint8)
LABELS = [row // 6 for row in range(24)]


def data() -> TrainingData:
    return TrainingData(PIXELS.__getitem__, LABELS, batch_size=4, num_instances=2, seed=1, pin_memory=False)


def test_a_batch_is_the_pixels_and_labels_of_its_rows() -> None:
    images, labels = PackedBatches(PIXELS.__getitem__, LABELS).__getitems__([23, 0, 7])

    assert np.array_equal(images.numpy(), PIXELS[[23, 0, 7]])
    assert labels.tolist() == [3, 0, 1]
    assert labels.dtype == torch.int64


def test_one_row_is_a_batch_of_one() -> None:
    images, labels = PackedBatches(PIXELS.__getitem__, LABELS)[5]

    assert (tuple(images.shape), labels.tolist()) == ((1, 4, 2, 3), [0])


def test_the_loader_gives_p_x_k_batches_whose_labels_belong_to_the_pixels() -> None:
    for images, labels in data().train_dataloader():
        rows = [next(r for r in range(24) if np.array_equal(PIXELS[r], image)) for image in images.numpy()]
        assert [LABELS[row] for row in rows] == labels.tolist()
        assert sorted(np.unique(labels, return_counts=True)[1].tolist()) == [2, 2]


def test_a_loader_goes_on_where_a_stored_one_stood() -> None:
    whole = [labels.tolist() for _, labels in data().train_dataloader()]
    stopped, resumed = data().train_dataloader(), data().train_dataloader()
    batches = iter(stopped)
    begun = [next(batches)[1].tolist() for _ in range(2)]

    resumed.load_state_dict(stopped.state_dict())  # type: ignore[attr-defined]

    assert begun + [labels.tolist() for _, labels in resumed] == whole
