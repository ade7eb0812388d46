"""The center loss against plain loops, and its centers against PyTorch's own SGD, in one process and in two."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from reid.model.center import CenterLoss
from reid.model.whole_batch import whole_batch

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])


def features(seed: int = 0, dim: int = 4) -> Tensor:
    return torch.randn(len(LABELS), dim, generator=torch.Generator().manual_seed(seed))


def moved_by_sgd(start: Tensor, steps: int) -> Tensor:
    """Centers after some steps on the features of seeds 0, 1, ..., by autograd and torch.optim."""
    centers = nn.Parameter(start.clone())
    sgd = torch.optim.SGD([centers], lr=0.5)
    for step in range(steps):
        sgd.zero_grad()
        (features(step) - centers[LABELS]).square().sum(dim=1).mean().backward()
        sgd.step()
    return centers.detach()


def test_the_center_loss_is_the_mean_squared_distance_to_the_own_center() -> None:
    loss, x = CenterLoss(3, 4, seed=1).eval(), features()
    centers = loss.centers.tolist()

    expected = sum(math.dist(v, centers[c]) ** 2 for v, c in zip(x.tolist(), LABELS.tolist(), strict=True)) / 8

    assert float(loss(x, LABELS)) == pytest.approx(expected, rel=1e-5)


def test_centers_move_exactly_as_sgd_on_the_loss_moves_them() -> None:
    loss = CenterLoss(3, 4, learning_rate=0.5, seed=1)
    start = loss.centers.clone()

    for step in range(5):
        loss(features(step), LABELS)

    assert not torch.allclose(loss.centers, start, atol=0.1)
    assert torch.allclose(loss.centers, moved_by_sgd(start, 5), atol=1e-5)


def test_centers_of_identities_outside_the_batch_rest() -> None:
    loss = CenterLoss(4, 4, seed=1)
    start = loss.centers.clone()

    loss(features(), LABELS)

    assert (loss.centers != start).any(dim=1).tolist() == [True, True, True, False]


def test_centers_move_in_full_precision_under_autocast() -> None:
    plain, mixed = CenterLoss(3, 4, seed=1), CenterLoss(3, 4, seed=1)

    plain(features(), LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed(features(), LABELS)

    assert torch.equal(plain.centers, mixed.centers)


def test_nothing_is_read_from_the_device_as_it_would_make_a_gpu_wait() -> None:
    """A fake tensor has no values: whatever asks for one of them, or for a count of them, fails."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        loss = CenterLoss(3, 4)
        loss(torch.empty(8, 4, requires_grad=True), torch.zeros(8, dtype=torch.int64)).backward()


def test_centers_rest_outside_training() -> None:
    loss = CenterLoss(3, 4).eval()
    before = loss.centers.clone()

    loss(features(), LABELS)

    assert torch.equal(loss.centers, before)


@pytest.mark.slow  # each of the processes imports PyTorch
def test_two_processes_that_share_a_batch_move_the_centers_as_one_does(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_share, (tmp_path,), nprocs=2)

    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    assert torch.allclose(first, moved_by_sgd(CenterLoss(3, 4, seed=1).centers, 5), atol=1e-5)


def _share(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    loss, mine = CenterLoss(3, 4, learning_rate=0.5, seed=1), slice(4 * rank, 4 * rank + 4)
    for step in range(5):
        loss(whole_batch(features(step)[mine]), whole_batch(LABELS[mine]))  # as the criterion does
    torch.save(loss.centers, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
