"""What the spec's keys of the losses mean, on features whose losses can be counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from reid.actions.recipes.person_training import PersonTraining
from reid.actions.settings import device_of
from reid.model.heads import SoftmaxHead
from reid.model.losses import Branch, LossParts
from reid.spec.load import load_spec

FEATURES, LABELS = torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([0, 0, 1, 1])
GAPS = [1 - 3, 1 - 2, 4 - 2, 4 - 6]  # farthest positive - nearest negative


def losses(*overrides: str) -> LossParts:
    """Of those features, and of logits that are 1 for the own identity and 0 for the other."""
    criterion = PersonTraining().criterion(load_spec("train", None, list(overrides)).spec, num_classes=2, dim=1, seed=0)
    head = SoftmaxHead(2, 2)
    nn.init.eye_(head.weight)
    result: LossParts = criterion([Branch(FEATURES, torch.eye(2)[LABELS], head)], LABELS)
    return result


def softplus(value: float) -> float:
    return math.log(1 + math.exp(value))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.optim.triplet_loss_margin=0.5", (0 + 0 + 2.5 + 0) / 4),
        ("train.optim.triplet_loss_margin=1.5", (0 + 0.5 + 3.5 + 0) / 4),
        ("model.no_margin=true", sum(map(softplus, GAPS)) / 4),
        ("train.optim.trp_l2=true", (0.3 + 1.3 + 0.3 + 0.3) / 4),  # at length 1 they are 0, 1, 1, 1
        ("model.triplet_loss_weight=3", 3 * (0 + 0 + 2.3 + 0) / 4),
    ],
)
def test_keys_of_the_triplet_loss(override: str, expected: float) -> None:
    assert float(losses("dataset.sampler=triplet", override).total) == pytest.approx(expected, rel=1e-5)


def test_weighted_mining_compares_with_all_negatives_and_has_a_soft_margin() -> None:
    def nearest(*distances: float) -> float:
        return sum(d * math.exp(-d) for d in distances) / sum(math.exp(-d) for d in distances)

    gaps = [1 - nearest(3, 7), 1 - nearest(2, 6), 4 - nearest(3, 2), 4 - nearest(7, 6)]  # one positive each

    total = losses("dataset.sampler=triplet", "model.triplet_mining=weighted").total

    assert float(total) == pytest.approx(sum(map(softplus, gaps)) / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.label_smooth=false", softplus(-1)),  # cross-entropy of logits 1 and 0
        ("model.label_smooth=true", 0.95 * softplus(-1) + 0.05 * softplus(1)),  # half of 0.1 to each identity
        ("model.id_loss_weight=0", 0.0),
    ],
)
def test_keys_of_the_identity_loss(override: str, expected: float) -> None:
    assert float(losses("dataset.sampler=softmax", override).total) == pytest.approx(expected, rel=1e-5)


def test_keys_of_the_center_loss() -> None:
    center = ("model.with_center_loss=true", "model.metric_loss_type=center", "model.label_smooth=false")

    one, two = (losses(*center, f"train.optim.center_loss_weight={weight}") for weight in (0.25, 0.5))

    assert one.parts["center"] == two.parts["center"] > 1
    assert float(two.total - one.total) == pytest.approx(0.25 * float(one.parts["center"]), rel=1e-5)
    assert float(one.total) == pytest.approx(softplus(-1) + 0.25 * float(one.parts["center"]), rel=1e-5)
    spec = load_spec("train", None, [*center, "train.optim.center_lr=0.125"]).spec
    criterion = PersonTraining().criterion(spec, num_classes=2, dim=1, seed=0)
    assert criterion.center is not None
    assert criterion.center.learning_rate == 0.125


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_fp32_on_a_gpu_is_not_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)

    device_of(load_spec("evaluate", None, ["device=cuda"]).spec)

    values = torch.full((1, 1, 1, 1), 1 + 2**-12, device="cuda")  # TF32 keeps 10 bits behind the point
    assert float(nn.functional.conv2d(values, torch.ones_like(values))) == 1 + 2**-12
