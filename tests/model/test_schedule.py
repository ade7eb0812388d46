"""Learning rates by TAO's published values, and our own warm-up by step."""

from __future__ import annotations

import math

import pytest

from reid.model.schedule import Schedule

BASE_LR = 0.00035


@pytest.mark.parametrize(
    ("index", "rate"),
    [(0, 3.5e-6), (1, 3.815e-5), (2, 7.28e-5), (5, 1.7675e-4), (9, 3.1535e-4), (10, 3.5e-4), (39, 3.5e-4), (40, 3.5e-5),
     (70, 3.5e-6)],
)  # fmt: skip
def test_taos_defaults_give_taos_learning_rates(index: int, rate: float) -> None:
    """TAO's rule runs one index ahead: its first epoch has index 1, ours is epoch 0."""
    assert BASE_LR * Schedule("linear", num_epochs=120).factor(index - 1, 0) == pytest.approx(rate, rel=1e-9)


def test_a_constant_warm_up_stays_at_its_factor_until_it_ends() -> None:
    schedule = Schedule("constant", num_epochs=20, warmup_iters=5, warmup_factor=0.2, milestones=(8,), gamma=0.5)

    assert [schedule.factor(epoch, 0) for epoch in range(9)] == pytest.approx([0.2] * 4 + [1.0] * 3 + [0.5] * 2)


def test_no_warm_up_starts_at_the_full_rate() -> None:
    assert Schedule("linear", num_epochs=5, warmup_iters=0).factor(0, 0) == 1.0


def test_a_cosine_warms_up_linearly_from_a_hundredth_then_falls_to_a_five_hundredth() -> None:
    schedule = Schedule("cosine", num_epochs=40, warmup_epochs=10)

    for epoch in range(40):
        index = epoch + 1
        if index < 10:
            expected = 0.01 + 0.99 * index / 10
        else:
            expected = 0.002 + 0.998 * (1 + math.cos(math.pi * index / 40)) / 2
        assert schedule.factor(epoch, 0) == pytest.approx(expected)
    assert schedule.factor(39, 0) == pytest.approx(0.002)
    assert schedule.factor(60, 0) == pytest.approx(0.002)


def test_a_warm_up_by_step_rises_from_zero_and_leaves_the_schedule_of_epochs_as_it_is() -> None:
    schedule = Schedule("linear", num_epochs=9, warmup_iters=0, milestones=(2,), gamma=0.1, warmup_steps=4)

    first = [schedule.factor(0, step) for step in range(6)]
    second = [schedule.factor(1, step) for step in (2, 6, 7)]  # epoch 1 has index 2: after the milestone

    assert first == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert second == pytest.approx([0.075, 0.1, 0.1])
