"""Trunk and embedder with settings of their own: groups, frozen parts, rates, limits of the gradient, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from reid.data.augment import Augmentation
from reid.errors import ReidError
from reid.model.checkpoint import FORMAT, load_checkpoint
from reid.model.extract import evaluation_mode
from reid.model.losses import ReidCriterion
from reid.model.module import ReidModule
from reid.model.network import Part, ReidNetwork
from reid.model.optim import build_optimizer
from reid.model.parts import PartSettings, part_groups, part_lrs
from reid.model.schedule import Schedule
from reid.model.settings import NetworkSettings
from tests.model.fitting import content, equal, train

SETTINGS = NetworkSettings("test_resnet", 2, 64, 32, feat_dim=8, embedder="linear", neck="", id_loss_type="none")
PARTS: dict[Part, PartSettings] = {
    "trunk": PartSettings(0.01, bias_lr_factor=2.0, momentum=0.8, weight_decay=0.1, weight_decay_bias=0.2),
    "embedder": PartSettings(0.03, bias_lr_factor=3.0, momentum=0.7, weight_decay=0.3, weight_decay_bias=0.4),
}
PLAIN: dict[Part, PartSettings] = {"trunk": PartSettings(0.01), "embedder": PartSettings(0.03)}


def module(
    parts: dict[Part, PartSettings] = PLAIN,
    *,
    kind: type[ReidModule] = ReidModule,
    optimizer: str = "SGD",
    schedule: Schedule = Schedule("constant", num_epochs=9, warmup_iters=0),  # noqa: B008 - frozen
    ema_decay: float = 0.0,
) -> ReidModule:
    torch.manual_seed(0)
    network = ReidNetwork(SETTINGS)
    groups = part_groups(network, parts)
    rates = part_lrs(parts)
    return kind(
        network,
        ReidCriterion(
            combination="triplet", label_smoothing=0.0, margin=0.3, mining="multi_similarity", smooth_loss=True
        ),
        augmentation=Augmentation(0.5, 2, 0.0, "mean", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        schedule=schedule,
        optimizer=optimizer,
        groups=groups,
        base_lr=rates["trunk"],
        part_lrs=rates,
        momentum=0.9,
        ema_decay=ema_decay,
        seed=1,
        checkpoint_block={
            "format": FORMAT, "network": SETTINGS.to_dict(), "preprocess": {}, "pids": [1, 2], "spec": {},
            "provenance": {},
        },
    )  # fmt: skip


def validated(trained: Any) -> dict[str, float]:
    """A validation that changes the mode of the network, as the real one does."""
    with evaluation_mode(trained.network):
        return {"cmc_rank_1": 0.5, "mAP": 0.5}


def group_of(groups: list[dict[str, Any]], parameter: Tensor) -> dict[str, Any]:
    (group,) = [g for g in groups if any(parameter is p for p in g["params"])]
    return {key: value for key, value in group.items() if key != "params"}


def test_each_part_has_rates_decays_and_momentum_of_its_own() -> None:
    network = ReidNetwork(SETTINGS)

    groups = part_groups(network, PARTS)

    trunk, embedder = {"momentum": 0.8, "part": "trunk"}, {"momentum": 0.7, "part": "embedder"}
    assert group_of(groups, network.backbone.conv1[0].weight) == {"lr": 0.01, "weight_decay": 0.1, **trunk}
    assert group_of(groups, network.backbone.bn1.bias) == {"lr": 0.02, "weight_decay": 0.2, **trunk}
    assert group_of(groups, network.embedder.weight) == {"lr": 0.03, "weight_decay": 0.3, **embedder}
    assert group_of(groups, network.embedder.bias) == {"lr": pytest.approx(0.09), "weight_decay": 0.4, **embedder}
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(map(id, network.parameters()))


def test_one_optimiser_of_groups_takes_the_steps_of_two_optimisers() -> None:
    ours, theirs = (ReidNetwork(SETTINGS) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    one = build_optimizer("SGD", part_groups(ours, PARTS), momentum=0.9)
    two = []
    for part, of in (("trunk", PARTS["trunk"]), ("embedder", PARTS["embedder"])):
        weights = [(n, p) for m in theirs.part(part).values() for n, p in m.named_parameters()]  # type: ignore[arg-type]
        each = [
            {"params": [p], "lr": of.base_lr * of.bias_lr_factor, "weight_decay": of.weight_decay_bias}
            if n.endswith("bias")
            else {"params": [p], "lr": of.base_lr, "weight_decay": of.weight_decay}
            for n, p in weights
        ]
        two.append(torch.optim.SGD(each, momentum=of.momentum))

    for seed in range(3):
        images = torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(seed))
        for network, optimizers in ((ours, [one]), (theirs, two)):
            network.zero_grad()
            network(images).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()

    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, theirs.state_dict()[name], msg=name)


@pytest.mark.parametrize("name", ["Adam", "Adamax", "adamw"])
def test_optimisers_without_momentum_take_the_groups_too(name: str) -> None:
    optimizer = build_optimizer(name, part_groups(ReidNetwork(SETTINGS), PARTS), momentum=0.9)

    assert not any("momentum" in group for group in optimizer.param_groups)
    assert {group["part"] for group in optimizer.param_groups} == {"trunk", "embedder"}


@pytest.mark.parametrize("frozen", ["trunk", "embedder"])
def test_a_frozen_part_keeps_weights_and_statistics_through_steps_and_validations(frozen: Part, tmp_path: Path) -> None:
    parts = {part: PartSettings(0.05, weight_decay=0.1, trained=part != frozen) for part in PLAIN}
    trained = module(parts, optimizer="Adam")
    start = {name: value.clone() for name, value in trained.network.state_dict().items()}

    records = train(tmp_path, epochs=2, trained=trained, measure=validated)

    kept = {name for name, value in trained.network.state_dict().items() if torch.equal(value, start[name])}
    prefix = "backbone." if frozen == "trunk" else "embedder."
    assert {name for name in start if name.startswith(prefix)} == kept
    assert records[-1].training[f"{frozen}_base_lr"] == 0.0


def test_a_frozen_trunk_stays_in_evaluation_mode_whatever_mode_is_asked_for() -> None:
    network = ReidNetwork(SETTINGS)
    network.freeze("trunk")

    network.eval()
    network.train()

    assert not any(layer.training for layer in network.backbone.modules())
    assert network.training
    assert network.embedder.training


def test_frozen_batch_norms_keep_their_statistics_through_validations_and_their_weights_learn(tmp_path: Path) -> None:
    trained = module()
    trained.network.freeze_batch_norm()
    start = {name: value.clone() for name, value in trained.network.state_dict().items()}

    train(tmp_path, epochs=2, trained=trained, measure=validated)

    kept = {name for name, value in trained.network.state_dict().items() if torch.equal(value, start[name])}
    assert {name for name in start if "running_" in name or "num_batches" in name} <= kept
    assert not {"backbone.conv1.0.weight", "backbone.bn1.weight", "backbone.bn1.bias", "embedder.weight"} & kept
    assert trained.network.backbone.training


@pytest.mark.parametrize(
    ("method", "trunk"),
    [("linear", [0.0034, 0.0067, 0.01, 0.01, 0.001]), ("constant", [0.0001, 0.0001, 0.01, 0.01, 0.001])],
)
def test_the_rates_of_both_parts_leave_the_warm_up_and_are_told(
    method: Any, trunk: list[float], tmp_path: Path
) -> None:
    # epochs 1 to 5 by TAO's count: warm-up below 3 from a hundredth, gamma after epoch 5
    schedule = Schedule(method, num_epochs=5, warmup_iters=3, warmup_factor=0.01, milestones=(5,), gamma=0.1)
    trained = module(schedule=schedule)
    rates: list[dict[str, float]] = []

    def look(trained: ReidModule) -> dict[str, float]:
        rates.append({group["part"]: group["lr"] for group in trained.trainer.optimizers[0].param_groups})
        return {"cmc_rank_1": 0.5, "mAP": 0.5}

    records = train(tmp_path, epochs=5, trained=trained, measure=look)  # type: ignore[arg-type]

    assert [r.training["trunk_base_lr"] for r in records] == pytest.approx(trunk)
    assert [r.training["embedder_base_lr"] for r in records] == pytest.approx([3 * rate for rate in trunk])
    assert [r["trunk"] for r in rates] == pytest.approx(trunk)
    assert [r["embedder"] for r in rates] == pytest.approx([3 * rate for rate in trunk])
    assert "train_acc" not in records[0].row()


class Diverges(ReidModule):
    """A loss that is never a number."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * float("nan")


def test_the_advice_against_divergence_names_no_rate_of_a_part_that_is_not_trained(tmp_path: Path) -> None:
    parts = {**PLAIN, "trunk": PartSettings(0.01, trained=False)}

    with pytest.raises(ReidError) as error:
        train(tmp_path, epochs=1, trained=module(parts, kind=Diverges))

    assert "lower train.optim.embedder.base_lr or set" in error.value.fix


class Clipped(ReidModule):
    """Keeps the gradient's norm of each part in each step, after the limit."""

    norms: list[dict[str, float]]

    def configure_gradient_clipping(self, *arguments: Any, **more: Any) -> None:
        super().configure_gradient_clipping(*arguments, **more)
        parts = {name: [p.grad for m in self.network.part(name).values() for p in m.parameters()] for name in PLAIN}
        norm = {name: float(torch.nn.utils.get_total_norm(grads)) for name, grads in parts.items()}  # type: ignore[arg-type]
        self.norms = [*getattr(self, "norms", []), norm]


def test_the_limit_of_the_gradient_holds_for_each_part_by_itself(tmp_path: Path) -> None:
    free, limited = module(kind=Clipped), module(kind=Clipped)
    train(tmp_path / "free", epochs=1, trained=free, grad_clip=1e9)
    limit = min(free.norms[0].values()) / 2  # type: ignore[attr-defined]

    train(tmp_path / "limited", epochs=1, trained=limited, grad_clip=limit)

    assert limited.norms[0] == pytest.approx({"trunk": limit, "embedder": limit}, rel=1e-4)  # type: ignore[attr-defined]


def test_a_resumed_training_with_a_moving_average_ends_in_the_same_weights(tmp_path: Path) -> None:
    parts = {**PARTS, "embedder": PartSettings(0.03, momentum=0.7)}
    for folder, epochs, start in (("whole", 2, None), ("first", 1, None), ("resumed", 2, "first")):
        resume = next((tmp_path / start).glob("model_epoch_000_*")) if start else None
        trained = module(parts, ema_decay=0.5)
        train(tmp_path / folder, epochs=epochs, trained=trained, resume_from=resume)

    whole, resumed = (content(tmp_path / folder, "model_epoch_001_*") for folder in ("whole", "resumed"))
    assert equal(whole["state_dict"], resumed["state_dict"])
    assert equal(whole["ema"], resumed["ema"])
    assert equal(whole["optimizer_states"][0]["state"], resumed["optimizer_states"][0]["state"])


def test_a_checkpoint_builds_the_network_again(tmp_path: Path) -> None:
    trained = module()
    train(tmp_path, epochs=1, trained=trained)
    (path,) = tmp_path.glob("model_epoch_000_*")

    network = load_checkpoint(path).build_network()

    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode(), evaluation_mode(trained.network):
        torch.testing.assert_close(network(images), trained.network(images))
