"""Mined triplets and their loss against plain loops over anchors and pairs, and cases that can be counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from reid.model.losses import Branch, ReidCriterion
from reid.model.multi_similarity import MultiSimilarityTriplet

LABELS = [0, 0, 0, 1, 1, 1, 2, 2]


def features(seed: int) -> Tensor:
    return torch.randn(len(LABELS), 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mined(x: Tensor, labels: list[int], epsilon: float) -> list[tuple[int, int, int]]:
    """Anchor, positive and negative of each triplet of kept pairs, in loops."""
    cosine = [[float(F.cosine_similarity(a, b, dim=0)) for b in x] for a in x]
    triplets = []
    for a, label in enumerate(labels):
        positives = [i for i in range(len(labels)) if labels[i] == label and i != a]
        negatives = [i for i in range(len(labels)) if labels[i] != label]
        if not positives or not negatives:
            continue
        nearest_negative = max(cosine[a][n] for n in negatives)
        farthest_positive = min(cosine[a][p] for p in positives)
        hard_positives = [p for p in positives if cosine[a][p] - epsilon < nearest_negative]
        hard_negatives = [n for n in negatives if cosine[a][n] + epsilon > farthest_positive]
        triplets += [(a, p, n) for p in hard_positives for n in hard_negatives]
    return triplets


def loss_by_loops(x: Tensor, labels: list[int], *, margin: float, epsilon: float, smooth: bool) -> float:
    unit = [(row / row.norm()).tolist() for row in x]
    losses = []
    for a, p, n in mined(x, labels, epsilon):
        gap = margin + math.dist(unit[a], unit[p]) - math.dist(unit[a], unit[n])
        losses.append(math.log(1 + math.exp(gap)) if smooth else max(0.0, gap))
    positive = [loss for loss in losses if loss > 0]
    return sum(positive) / len(positive) if positive else 0.0


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("margin", "epsilon", "smooth"), [(0.3, 0.1, True), (0.3, 0.1, False), (0.05, 0.0, False), (1.0, 0.5, True)]
)
def test_loss_and_gradient_equal_loops_over_the_mined_triplets(
    seed: int, margin: float, epsilon: float, smooth: bool
) -> None:
    x = features(seed).requires_grad_()
    loss = MultiSimilarityTriplet(margin=margin, miner_margin=epsilon, smooth=smooth)

    value = loss(x, torch.tensor(LABELS))
    value.backward()  # type: ignore[no-untyped-call]

    expected = loss_by_loops(x.detach(), LABELS, margin=margin, epsilon=epsilon, smooth=smooth)
    assert expected > 0
    assert float(value.detach()) == pytest.approx(expected, rel=1e-9)
    moved = features(seed)
    moved[2, 3] += 1e-6  # a difference quotient, without which the mining is the same
    quotient = (loss_by_loops(moved, LABELS, margin=margin, epsilon=epsilon, smooth=smooth) - expected) / 1e-6
    assert float(x.grad[2, 3]) == pytest.approx(quotient, abs=1e-5)  # type: ignore[index]


def test_the_mining_leaves_out_some_pairs_and_a_larger_margin_of_it_keeps_more() -> None:
    x, everything = features(0), 2 * 3 * 2 * 5 + 2 * 1 * 6  # anchors x positives x negatives of each class

    few, more, all_of_them = (len(mined(x, LABELS, epsilon)) for epsilon in (0.0, 0.2, 3.0))

    assert 0 < few < more < all_of_them == everything


def test_on_a_circle_the_loss_can_be_counted_by_hand() -> None:
    # A at 0 and 90 degrees, B at 180 and 270: neighbours are sqrt(2) apart, opposite images 2. Each anchor has one
    # positive at cosine 0 and negatives at 0 and -1; with epsilon 0.5 the first negative is kept, and the positive.
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, -4.0]])

    hinge = MultiSimilarityTriplet(margin=0.3, miner_margin=0.5, smooth=False)(x, torch.tensor([0, 0, 1, 1]))
    smooth = MultiSimilarityTriplet(margin=0.3, miner_margin=0.5, smooth=True)(x, torch.tensor([0, 0, 1, 1]))

    assert float(hinge) == pytest.approx(0.3, abs=1e-6)
    assert float(smooth) == pytest.approx(math.log(1 + math.exp(0.3)), abs=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_batch_without_a_triplet_has_loss_zero_and_a_gradient_of_zeros(labels: list[int], smooth: bool) -> None:
    x = torch.eye(4).requires_grad_()

    loss = MultiSimilarityTriplet(margin=0.3, miner_margin=0.1, smooth=smooth)(x, torch.tensor(labels))
    loss.backward()  # type: ignore[no-untyped-call]

    assert float(loss) == 0.0
    assert torch.equal(x.grad, torch.zeros(4, 4))  # type: ignore[arg-type]


def test_autocast_does_not_reach_the_mining() -> None:
    x, labels = features(0).float(), torch.tensor(LABELS)
    loss = MultiSimilarityTriplet(margin=0.3, miner_margin=0.1, smooth=True)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(x, labels)

    assert torch.equal(inside, loss(x, labels))


def test_the_criterion_computes_it_from_features_alone_without_an_identity_head() -> None:
    x, labels = features(1).float(), torch.tensor(LABELS)
    criterion = ReidCriterion(
        combination="triplet",
        label_smoothing=0.0,
        margin=0.3,
        mining="multi_similarity",
        miner_margin=0.2,
        smooth_loss=True,
    )

    losses = criterion([Branch(x, x, None)], labels)

    expected = loss_by_loops(x.double(), LABELS, margin=0.3, epsilon=0.2, smooth=True)
    assert float(losses.total) == pytest.approx(expected, rel=1e-5)
    assert set(losses.parts) == {"triplet"}
