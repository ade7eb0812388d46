"""Training batches: whole batches of rows with their labels, and a place that can be stored."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import pytest
import torch

from reid.data.feeds import copied_ahead, feed_for
from reid.data.module import EpochLoader, TrainingData
from reid.data.side import Side

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 4, 2, 3), dtype=np.uint8)
LABELS = [row // 6 for row in range(24)]
KEEP: list[Literal["auto", "on", "off"]] = ["auto", "on", "off"]


def loader(keep: Literal["auto", "on", "off"] = "auto", **changes: object) -> EpochLoader:
    settings = {"batch_size": 4, "num_instances": 2, "seed": 1, "keep_on_device": keep, **changes}
    return TrainingData(PIXELS, LABELS, **settings).train_dataloader()  # type: ignore[arg-type]


def rows_of(images: torch.Tensor) -> list[int]:
    return [next(row for row in range(24) if np.array_equal(PIXELS[row], image)) for image in images.numpy()]


@pytest.mark.parametrize("keep", KEEP)
def test_the_loader_gives_p_x_k_batches_whose_labels_belong_to_the_pixels(keep: Literal["auto", "on", "off"]) -> None:
    batches = list(loader(keep))

    assert len(batches) == len(loader(keep)) == 6
    for images, labels in batches:
        assert [LABELS[row] for row in rows_of(images)] == labels.tolist()
        assert sorted(np.unique(labels, return_counts=True)[1].tolist()) == [2, 2]
        assert labels.dtype == torch.int64


def test_cameras_are_balanced_where_they_are_given() -> None:
    cameras = [row % 2 for row in range(24)]

    for images, _ in loader(cameras=cameras):
        first, second, third, fourth = (cameras[row] for row in rows_of(images))
        assert first != second
        assert third != fourth


@pytest.mark.parametrize("keep", KEEP)
def test_batches_carry_the_side_information_of_their_rows_where_it_is_given(keep: Literal["auto", "on", "off"]) -> None:
    side = Side(torch.arange(24) % 5, torch.arange(24) % 3)

    for images, _, given in loader(keep, side=side):
        rows = rows_of(images)
        assert given.camera.tolist() == [row % 5 for row in rows]
        assert given.view.tolist() == [row % 3 for row in rows]


@pytest.mark.parametrize("keep", KEEP)
def test_a_loader_goes_on_where_a_stored_one_stood(keep: Literal["auto", "on", "off"]) -> None:
    whole = [rows_of(images) for images, _ in loader(keep)]
    stopped, resumed = loader(keep), loader(keep)
    batches = iter(stopped)
    begun = [rows_of(next(batches)[0]) for _ in range(2)]

    resumed.load_state_dict(stopped.state_dict())

    assert stopped.state_dict() == {"given": 2}
    assert begun + [rows_of(images) for images, _ in resumed] == whole
    assert resumed.state_dict() == {"given": 0}
    assert [rows_of(images) for images, _ in resumed] == whole


def test_a_batch_that_is_only_copied_ahead_does_not_count_as_given() -> None:
    rows = np.arange(24).reshape(6, 4)
    ahead = EpochLoader(rows, torch.tensor(LABELS), partial(copied_ahead, PIXELS, torch.device("cpu")))

    next(iter(ahead))

    assert ahead.state_dict() == {"given": 1}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("keep", ["on", "off"])
def test_a_gpu_is_given_the_batches_of_a_cpu_from_its_own_memory_or_from_the_hosts(keep: Literal["on", "off"]) -> None:
    gpu = torch.device("cuda", 0)
    rows = np.random.default_rng(3).integers(0, 24, (200, 8))
    on_cpu = EpochLoader(rows, torch.tensor(LABELS), feed_for(PIXELS, torch.device("cpu"), "off"))
    on_gpu = EpochLoader(rows, torch.tensor(LABELS, device=gpu), feed_for(PIXELS, gpu, keep))

    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert isinstance(a, torch.Tensor)
            assert a.is_cuda
            assert torch.equal(a.cpu(), b)
