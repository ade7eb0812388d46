"""Heads of the ID loss against plain loops over images and identities, on numbers one can check."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CircleLoss, CosFaceLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from reid.model.heads import Head, HeadKind, SoftmaxHead, build_head
from reid.model.optim import parameter_groups

LABELS = torch.tensor([0, 2, 1, 1])
MARGINS: list[HeadKind] = ["arcface", "cosface", "amsoftmax", "circle"]


def embeddings(dim: int = 3) -> Tensor:
    return torch.randn(len(LABELS), dim, generator=torch.Generator().manual_seed(3))


def head(kind: HeadKind, *, margin: float = 0.35, scale: float = 8.0, dim: int = 3, classes: int = 3) -> Head:
    torch.manual_seed(5)
    return build_head(kind, dim=dim, num_classes=classes, margin=margin, scale=scale)


def cosines(embedding: Tensor, weight: Tensor) -> list[list[float]]:
    def unit(vector: list[float]) -> list[float]:
        length = math.sqrt(sum(v * v for v in vector))
        return [v / length for v in vector]

    vectors = [unit(w) for w in weight.tolist()]
    return [[math.fsum(a * b for a, b in zip(unit(x), w, strict=True)) for w in vectors] for x in embedding.tolist()]


def cross_entropy_by_loops(logits: list[list[float]], labels: list[int], epsilon: float) -> float:
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        log_sum = math.log(sum(math.exp(v) for v in row))
        for c, value in enumerate(row):
            total -= (epsilon / len(row) + (1 - epsilon) * (c == label)) * (value - log_sum)
    return total / len(logits)


def with_margin(kind: HeadKind, cosine: float, margin: float) -> float:
    if kind != "arcface":
        return cosine - margin
    angle = math.acos(cosine)
    if angle + margin <= math.pi:
        return math.cos(angle + margin)
    return cosine - margin * math.sin(margin)  # behind 180 degrees the cosine would rise again


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("margin", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("kind", ["arcface", "cosface", "amsoftmax"])
def test_margin_heads_equal_cross_entropy_by_loops_with_the_margin_at_the_own_identity(
    kind: HeadKind, margin: float, epsilon: float
) -> None:
    tested, x = head(kind, margin=margin), embeddings()

    loss = tested.loss(x, LABELS, label_smoothing=epsilon).detach()

    logits = [
        [8.0 * (with_margin(kind, c, margin) if j == label else c) for j, c in enumerate(row)]
        for row, label in zip(cosines(x, tested.weight), LABELS.tolist(), strict=True)
    ]
    assert float(loss) == pytest.approx(cross_entropy_by_loops(logits, LABELS.tolist(), epsilon), rel=1e-5)


@pytest.mark.parametrize(("margin", "gamma"), [(0.25, 128.0), (0.4, 8.0)])
def test_the_circle_head_equals_loops_over_the_identities(margin: float, gamma: float) -> None:
    tested, x = head("circle", margin=margin, scale=gamma), embeddings()

    loss = tested.loss(x, LABELS, label_smoothing=0.1).detach()

    expected = 0.0
    for row, label in zip(cosines(x, tested.weight), LABELS.tolist(), strict=True):
        own = math.exp(-gamma * max(0.0, 1 + margin - row[label]) * (row[label] - (1 - margin)))
        others = sum(math.exp(gamma * max(0.0, c + margin) * (c - margin)) for j, c in enumerate(row) if j != label)
        expected += math.log(1 + own * others) / len(LABELS)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def of_the_library(kind: HeadKind, x: Tensor, weight: Tensor, *, margin: float, scale: float, epsilon: float) -> Tensor:
    """pytorch-metric-learning's own loss, mask and all."""
    classes, dim = weight.shape
    if kind == "circle":
        loss = CircleLoss(m=margin, gamma=scale, reducer=MeanReducer())
        return loss(x, LABELS, ref_emb=weight, ref_labels=torch.arange(classes))
    made = {"arcface": ArcFaceLoss, "cosface": CosFaceLoss, "amsoftmax": CosFaceLoss}[kind]
    loss = made(classes, dim, margin=math.degrees(margin) if kind == "arcface" else margin, scale=scale)
    loss.cross_entropy.label_smoothing = epsilon
    del loss.W
    loss.W = weight.t()
    return loss(x, LABELS)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("margin", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("kind", MARGINS)
def test_margin_heads_have_the_values_and_the_gradients_of_pytorch_metric_learning(
    kind: HeadKind, margin: float, epsilon: float
) -> None:
    tested, x = head(kind, margin=margin, dim=6, classes=5), embeddings(6).requires_grad_()
    y, weight = x.detach().clone().requires_grad_(), tested.weight.detach().clone().requires_grad_()

    ours = tested.loss(x, LABELS, label_smoothing=epsilon)
    theirs = of_the_library(kind, y, weight, margin=margin, scale=8.0, epsilon=epsilon)
    ours.backward()
    theirs.backward()

    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-6)
    torch.testing.assert_close(tested.weight.grad, weight.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", MARGINS)
def test_nothing_is_read_from_the_device_as_it_would_make_a_gpu_wait(kind: HeadKind) -> None:
    """A fake tensor has no values: whatever asks for one of them, or for a count of them, fails."""
    with FakeTensorMode():
        x, labels = torch.empty(8, 4, requires_grad=True), torch.zeros(8, dtype=torch.int64)
        head(kind, dim=4, classes=5).loss(x, labels, label_smoothing=0.1).backward()


def one_image(kind: HeadKind, degrees: float, *, margin: float, scale: float) -> float:
    """Loss of an image, taken twice, at an angle to its own of two identities, whose vectors are at right angles."""
    tested = head(kind, margin=margin, scale=scale, dim=2, classes=2)
    nn.init.eye_(tested.weight)
    angle = math.radians(degrees)
    x = torch.tensor([[5 * math.cos(angle), 5 * math.sin(angle)]] * 2)  # the length of an embedding does not matter
    return float(tested.loss(x, torch.tensor([0, 0]), label_smoothing=0.0).detach())


def test_arcface_at_30_degrees_with_a_margin_of_30_degrees_is_the_softmax_of_half_and_half() -> None:
    # its own cosine becomes cos 60 = 0.5, the other is cos 60 = 0.5: two equal logits, whatever the scale
    assert one_image("arcface", 30, margin=math.pi / 6, scale=30) == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.parametrize("kind", ["cosface", "amsoftmax"])
def test_cosface_on_its_own_vector_with_a_margin_of_1_is_the_softmax_of_half_and_half(kind: HeadKind) -> None:
    # its own cosine becomes 1 - 1 = 0, the other is 0
    assert one_image(kind, 0, margin=1.0, scale=30) == pytest.approx(math.log(2), rel=1e-4)


def test_circle_on_its_own_vector_lies_where_the_paper_puts_the_boundary() -> None:
    # s_p = 1, s_n = 0, m = 0.5, gamma = 4: exp(-4 * 0.5 * 0.5) * exp(4 * 0.5 * -0.5) = exp(-2)
    assert one_image("circle", 0, margin=0.5, scale=4) == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


@pytest.mark.parametrize("kind", MARGINS)
def test_logits_of_a_margin_head_are_scaled_cosines_without_the_margin(kind: HeadKind) -> None:
    tested, x = head(kind, scale=8.0), embeddings()

    logits = tested(x)

    expected = 8.0 * torch.tensor(cosines(x, tested.weight))
    assert torch.allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", *MARGINS])
def test_every_head_stores_one_weight_vector_for_each_identity_and_nothing_else(kind: HeadKind) -> None:
    network = nn.ModuleDict({"classifier": head(kind, dim=4, classes=6)})  # type: ignore[dict-item]

    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == {"classifier.weight": (6, 4)}
    (group,) = parameter_groups(network, base_lr=0.01, weight_decay=0.0, large_fc_lr=True)
    assert group["lr"] == 0.02


@pytest.mark.parametrize("kind", ["softmax", *MARGINS])
def test_every_head_learns_to_tell_identities_apart(kind: HeadKind) -> None:
    tested = head(kind, dim=4, classes=3)
    x = (torch.eye(3, 4)[LABELS] + 0.3).requires_grad_()
    optimizer = torch.optim.Adam([tested.weight], lr=0.05)
    first = tested.loss(x, LABELS, label_smoothing=0.0)
    first.backward()
    assert torch.isfinite(x.grad).all()
    assert float(x.grad.abs().sum()) > 0

    for _ in range(60):
        loss = tested.loss(x.detach(), LABELS, label_smoothing=0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.6 * first.item()
    assert torch.equal(tested(x).argmax(dim=1), LABELS)


def test_an_image_exactly_on_its_vector_gives_finite_gradients() -> None:
    tested = head("arcface", dim=2, classes=2)
    nn.init.eye_(tested.weight)
    x = torch.tensor([[1.0, 0.0], [0.0, -1.0]], requires_grad=True)  # at 0 and at 180 degrees

    tested.loss(x, torch.tensor([0, 1]), label_smoothing=0.0).backward()

    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(tested.weight.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", MARGINS)
def test_margin_heads_compute_in_float32_under_half_precision(kind: HeadKind) -> None:
    tested, x = head(kind, scale=30.0), embeddings().bfloat16()
    expected = tested.loss(x.float(), LABELS, label_smoothing=0.0)

    with torch.autocast("cpu", torch.bfloat16):
        loss = tested.loss(x, LABELS, label_smoothing=0.0)

        assert tested(x).dtype == torch.float32
    assert torch.equal(loss, expected)


def test_softmax_trains_without_pytorch_metric_learning_and_a_margin_head_says_what_is_missing(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "sys.modules['pytorch_metric_learning'] = None\n"  # as if it were not there
        "from reid.errors import SpecError\n"
        "from reid.model.heads import build_head\n"
        "build_head('softmax', dim=2, num_classes=3)\n"
        "try:\n"
        "    build_head('circle', dim=2, num_classes=3)\n"
        "except SpecError as error:\n"
        "    print(error)\n"
    )

    said = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True).stdout

    assert "model.id_loss_type=circle, and pytorch_metric_learning is not installed" in said
    assert "pip install pytorch-metric-learning" in said


def test_the_softmax_head_is_a_linear_layer_without_bias() -> None:
    tested, x = head("softmax"), embeddings()
    assert isinstance(tested, SoftmaxHead)
    assert tested.bias is None

    assert torch.allclose(tested(x), x @ tested.weight.T)
    expected = cross_entropy_by_loops((x @ tested.weight.T).tolist(), LABELS.tolist(), 0.1)
    assert float(tested.loss(x, LABELS, label_smoothing=0.1).detach()) == pytest.approx(expected, rel=1e-6)
