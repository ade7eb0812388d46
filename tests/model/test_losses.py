"""Losses against plain loops, and centers against PyTorch's own SGD."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from reid.model.heads import SoftmaxHead
from reid.model.losses import Branch, CenterLoss, ReidCriterion, batch_hard_triplet

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])


def features(seed: int = 0, dim: int = 4) -> Tensor:
    return torch.randn(len(LABELS), dim, generator=torch.Generator().manual_seed(seed))


def branch(x: Tensor, embedding: Tensor | None = None, *, weight: float = 1.0) -> Branch:
    """A branch with a softmax head whose logits are the embedding itself, of three numbers."""
    head = SoftmaxHead(3, 3)
    nn.init.eye_(head.weight)
    return Branch(x, torch.zeros(len(x), 3) if embedding is None else embedding, head, weight)


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


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_a_batch_without_triplets_gives_zero_and_zero_gradients(labels: list[int]) -> None:
    x = torch.randn(3, 2, requires_grad=True)

    loss = batch_hard_triplet(x, torch.tensor(labels), margin=0.3)
    loss.backward()

    assert loss.item() == 0.0
    assert torch.equal(x.grad, torch.zeros(3, 2))


def test_the_same_image_twice_gives_finite_gradients() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], requires_grad=True)

    batch_hard_triplet(x, torch.tensor([0, 0, 1, 1]), margin=0.3).backward()

    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_id_loss_is_cross_entropy_with_smoothed_labels(epsilon: float) -> None:
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(2))
    criterion = ReidCriterion(combination="softmax", label_smoothing=epsilon, margin=0.3)

    losses = criterion([branch(features(), logits)], LABELS)

    expected = 0.0
    for row, label in zip(logits.tolist(), LABELS.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(v) for v in row))
        for c, value in enumerate(row):
            target = epsilon / 3 + (1 - epsilon) * (c == label)
            expected -= target * (value - log_sum) / len(LABELS)
    assert float(losses.total) == pytest.approx(expected, rel=1e-5)
    assert set(losses.parts) == {"id"}


@pytest.mark.parametrize(
    ("combination", "parts"),
    [("softmax", {"id"}), ("triplet", {"triplet"}), ("softmax_triplet", {"id", "triplet"})],
)
def test_the_sampler_key_chooses_the_losses(combination: str, parts: set[str]) -> None:
    criterion = ReidCriterion(combination=combination, label_smoothing=0.1, margin=0.3)  # type: ignore[arg-type]

    assert set(criterion([branch(features())], LABELS).parts) == parts


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    criterion = ReidCriterion(
        combination="softmax_triplet",
        label_smoothing=0.1,
        margin=0.3,
        id_weight=2.0,
        triplet_weight=3.0,
        center=CenterLoss(3, 4),
        center_weight=0.01,
    )

    total, parts = criterion([branch(features(), torch.randn(8, 3))], LABELS)

    expected = 2 * parts["id"] + 3 * parts["triplet"] + 0.01 * parts["center"]
    assert float(total) == pytest.approx(float(expected), rel=1e-6)


def test_branches_share_the_id_and_triplet_loss_by_weight_and_the_first_has_the_center_loss() -> None:
    def losses(*branches: Branch) -> dict[str, float]:
        criterion = ReidCriterion(
            combination="softmax_triplet", label_smoothing=0.1, margin=0.3, center=CenterLoss(3, 4, seed=1)
        )
        return {name: float(value) for name, value in criterion(branches, LABELS).parts.items()}

    first, second = (features(1), torch.randn(8, 3)), (features(2), torch.randn(8, 3))
    alone = losses(branch(*first)), losses(branch(*second))

    both = losses(branch(*first, weight=0.75), branch(*second, weight=0.25))

    for name in ("id", "triplet"):
        assert both[name] == pytest.approx(0.75 * alone[0][name] + 0.25 * alone[1][name], rel=1e-6)
    assert both["center"] == pytest.approx(alone[0]["center"])


def test_the_center_loss_is_the_mean_squared_distance_to_the_own_center() -> None:
    loss, x = CenterLoss(3, 4, seed=1).eval(), features()
    centers = loss.centers.tolist()

    expected = sum(math.dist(v, centers[c]) ** 2 for v, c in zip(x.tolist(), LABELS.tolist(), strict=True)) / 8

    assert float(loss(x, LABELS)) == pytest.approx(expected, rel=1e-5)


def test_centers_move_exactly_as_sgd_on_the_unweighted_loss_moves_them() -> None:
    criterion = ReidCriterion(
        combination="softmax_triplet",
        label_smoothing=0.1,
        margin=0.3,
        center=CenterLoss(3, 4, learning_rate=0.5, seed=1),
        center_weight=0.0005,
    )
    assert criterion.center is not None
    start = criterion.center.centers.clone()
    centers = nn.Parameter(start.clone())
    sgd = torch.optim.SGD([centers], lr=0.5)

    for step in range(5):
        x = features(step)
        criterion([branch(x)], LABELS)
        sgd.zero_grad()
        (x - centers[LABELS]).square().sum(dim=1).mean().backward()
        sgd.step()

    assert not torch.allclose(criterion.center.centers, start, atol=0.1)
    assert torch.allclose(criterion.center.centers, centers, atol=1e-5)


def test_features_feel_the_center_loss_with_its_weight() -> None:
    criterion = ReidCriterion(
        combination="softmax", label_smoothing=0.0, margin=None, center=CenterLoss(3, 4, seed=1), center_weight=0.25
    )
    assert criterion.center is not None
    start, x = criterion.center.centers.clone(), features().requires_grad_()

    criterion([branch(x)], LABELS).total.backward()

    expected = 0.25 * 2 / 8 * (x - start[LABELS])
    assert torch.allclose(x.grad, expected, atol=1e-6)


def test_centers_rest_outside_training() -> None:
    loss = CenterLoss(3, 4).eval()
    before = loss.centers.clone()

    loss(features(), LABELS)

    assert torch.equal(loss.centers, before)
