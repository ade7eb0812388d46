"""Which losses are summed, with which weights, and the ID loss against plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid.model.center import CenterLoss
from reid.model.heads import SoftmaxHead
from reid.model.losses import Branch, ReidCriterion
from reid.model.triplet import batch_hard_triplet, weighted_triplet

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])


def features(seed: int = 0, dim: int = 4) -> Tensor:
    return torch.randn(len(LABELS), dim, generator=torch.Generator().manual_seed(seed))


def branch(x: Tensor, embedding: Tensor | None = None, *, weight: float = 1.0) -> Branch:
    """A branch with a softmax head whose logits are the embedding itself, of three numbers."""
    head = SoftmaxHead(3, 3)
    nn.init.eye_(head.weight)
    return Branch(x, torch.zeros(len(x), 3) if embedding is None else embedding, head, weight)


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


def test_features_feel_the_center_loss_with_its_weight() -> None:
    criterion = ReidCriterion(
        combination="softmax", label_smoothing=0.0, margin=None, center=CenterLoss(3, 4, seed=1), center_weight=0.25
    )
    assert criterion.center is not None
    start, x = criterion.center.centers.clone(), features().requires_grad_()

    criterion([branch(x)], LABELS).total.backward()

    expected = 0.25 * 2 / 8 * (x - start[LABELS])
    assert torch.allclose(x.grad, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"mining": "batch_hard"}, lambda x: batch_hard_triplet(x, LABELS, margin=0.3)),
        ({"mining": "weighted"}, lambda x: weighted_triplet(x, LABELS)),
        ({"normalise": True}, lambda x: batch_hard_triplet(x / x.norm(dim=1, keepdim=True), LABELS, margin=0.3)),
    ],
)
def test_mining_and_length_of_the_features_are_those_that_were_asked_for(
    settings: dict[str, Any], expected: Callable[[Tensor], Tensor]
) -> None:
    criterion = ReidCriterion(combination="triplet", label_smoothing=0.0, margin=0.3, **settings)

    assert float(criterion([branch(features())], LABELS).total) == pytest.approx(float(expected(features())), rel=1e-5)
