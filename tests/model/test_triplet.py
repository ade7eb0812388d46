"""Triplet losses against plain loops over anchors and pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from reid.model.triplet import batch_hard_triplet, weighted_triplet

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])

Kind = Callable[[Tensor, Tensor], Tensor]
KINDS = [partial(batch_hard_triplet, margin=0.3), partial(batch_hard_triplet, margin=None), weighted_triplet]


def features(seed: int = 0, dim: int = 4) -> Tensor:
    return torch.randn(len(LABELS), dim, generator=torch.Generator().manual_seed(seed))


def triplet_by_loops(x: list[list[float]], labels: list[int], margin: float | None) -> float:
    terms = []
    for i, anchor in enumerate(x):
        distances = [math.dist(anchor, other) for other in x]
        positives = [d for j, d in enumerate(distances) if labels[j] == labels[i] and j != i]
        negatives = [d for j, d in enumerate(distances) if labels[j] != labels[i]]
        if positives and negatives:
            gap = max(positives) - min(negatives)
            terms.append(math.log(1 + math.exp(gap)) if margin is None else max(0.0, margin + gap))
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("margin", [0.3, 0.0, 1.5, None])
def test_batch_hard_triplet_equals_loops_over_anchors(margin: float | None) -> None:
    x = features()

    loss = batch_hard_triplet(x, LABELS, margin=margin)

    assert float(loss) == pytest.approx(triplet_by_loops(x.tolist(), LABELS.tolist(), margin), rel=1e-5)


def test_on_a_line_the_triplet_loss_can_be_counted_by_hand() -> None:
    x, labels = torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([0, 0, 1, 1])
    # farthest positive - nearest negative: 1 - 3, 1 - 2, 4 - 2, 4 - 6; with margin 0.5: 0, 0, 2.5, 0

    assert float(batch_hard_triplet(x, labels, margin=0.5)) == pytest.approx(2.5 / 4)


def test_an_anchor_without_a_positive_is_left_out_of_the_mean() -> None:
    x, labels = torch.tensor([[0.0], [4.0], [1.0]]), torch.tensor([0, 0, 1])
    # anchors 0 and 1: 4 - 1 and 4 - 3; image 2 is alone

    assert float(batch_hard_triplet(x, labels, margin=0.0)) == pytest.approx((3 + 1) / 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_a_batch_without_triplets_gives_zero_and_zero_gradients(kind: Kind, labels: list[int]) -> None:
    x = torch.randn(3, 2, requires_grad=True)

    loss = kind(x, torch.tensor(labels))
    loss.backward()

    assert loss.item() == 0.0
    assert torch.equal(x.grad, torch.zeros(3, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_image_twice_gives_finite_gradients(kind: Kind) -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], requires_grad=True)

    kind(x, torch.tensor([0, 0, 1, 1])).backward()

    assert torch.isfinite(x.grad).all()


def weighted_by_loops(x: list[list[float]], labels: list[int]) -> float:
    terms = []
    for i, anchor in enumerate(x):
        distances = [math.dist(anchor, other) for other in x]
        positives = [d for j, d in enumerate(distances) if labels[j] == labels[i] and j != i]
        negatives = [d for j, d in enumerate(distances) if labels[j] != labels[i]]
        if positives and negatives:
            positive = sum(d * math.exp(d) for d in positives) / sum(math.exp(d) for d in positives)
            negative = sum(d * math.exp(-d) for d in negatives) / sum(math.exp(-d) for d in negatives)
            terms.append(math.log(1 + math.exp(positive - negative)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 2, 2, 2], [0, 0, 0, 1, 2, 3, 3, 3]])
def test_the_weighted_triplet_equals_loops_over_anchors_and_pairs(labels: list[int]) -> None:
    x = features(seed=3)

    loss = weighted_triplet(x, torch.tensor(labels))

    assert float(loss) == pytest.approx(weighted_by_loops(x.tolist(), labels), rel=1e-5)


def test_with_one_positive_and_one_negative_each_both_kinds_are_the_soft_margin_of_the_gap() -> None:
    x, labels = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([0, 0, 1])  # gaps of the two anchors: 1 - 4, 1 - 3
    expected = (math.log(1 + math.exp(-3)) + math.log(1 + math.exp(-2))) / 2

    assert float(weighted_triplet(x, labels)) == pytest.approx(expected, rel=1e-5)
    assert float(batch_hard_triplet(x, labels, margin=None)) == pytest.approx(expected, rel=1e-5)


def test_the_weighted_triplet_moves_easy_pairs_too_which_the_hardest_pairs_alone_do_not() -> None:
    start = torch.tensor([[0.0], [1.0], [3.0], [9.0]])  # image 3 is nobody's nearest negative but its own
    labels = torch.tensor([0, 0, 0, 1])
    moved = {}
    for name, kind in {"hard": partial(batch_hard_triplet, margin=None), "weighted": weighted_triplet}.items():
        x = start.clone().requires_grad_()
        kind(x, labels).backward()
        moved[name] = (x.grad != 0).flatten().tolist()

    assert moved["hard"] == [True, False, True, True]  # image 1 is the farthest positive of none
    assert moved["weighted"] == [True, True, True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_read_from_the_device_as_it_would_make_a_gpu_wait(kind: Kind) -> None:
    """A fake tensor has no values: whatever asks for one of them, or for a count of them, fails."""
    with FakeTensorMode():
        kind(torch.empty(8, 4, requires_grad=True), torch.zeros(8, dtype=torch.int64)).backward()
