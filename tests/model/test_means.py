"""Means of an epoch, also of one that was interrupted."""

from __future__ import annotations

import pytest
import torch

from reid.model.means import EpochMeans


def test_batches_count_by_their_images() -> None:
    means = EpochMeans()
    means.add({"loss": torch.tensor(1.0), "acc": torch.tensor(0.5)}, 1)
    means.add({"loss": torch.tensor(4.0), "acc": torch.tensor(1.0)}, 2)

    assert means.compute() == {"loss": (1 + 2 * 4) / 3, "acc": pytest.approx(2.5 / 3)}
    assert means.of_this_process() == means.compute()


def test_an_interrupted_epoch_has_the_means_of_all_its_batches_to_the_last_bit() -> None:
    losses = torch.rand(7, generator=torch.Generator().manual_seed(1))
    whole, before, after = EpochMeans(), EpochMeans(), EpochMeans()
    for loss in losses:
        whole.add({"loss": loss}, 3)
    for loss in losses[:4]:
        before.add({"loss": loss}, 3)
    after.load_state_dict(before.state_dict())
    for loss in losses[4:]:
        after.add({"loss": loss}, 3)

    assert after.compute() == whole.compute()


def test_a_new_epoch_has_no_means_and_its_state_is_empty() -> None:
    means = EpochMeans()
    means.add({"loss": torch.tensor(1.0)}, 1)
    means.reset()

    assert means.compute() == {}
    again = EpochMeans()
    again.load_state_dict(means.state_dict())
    assert again.compute() == {}


def test_half_precision_values_are_summed_exactly() -> None:
    means = EpochMeans()
    for _ in range(1000):
        means.add({"loss": torch.tensor(0.1, dtype=torch.bfloat16)}, 64)

    assert means.compute()["loss"] == pytest.approx(float(torch.tensor(0.1, dtype=torch.bfloat16)), rel=1e-12)
