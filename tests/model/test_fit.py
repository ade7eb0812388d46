"""The training loop on a tiny network: which checkpoints it leaves, and which it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reid.errors import ReidError
from reid.model.checkpoint import load_checkpoint
from reid.model.module import ReidModule
from tests.model.fitting import always, module, names, train


def test_a_resumed_epoch_without_a_validation_is_not_the_best_by_the_figures_of_an_earlier_one(tmp_path: Path) -> None:
    train(tmp_path / "first", epochs=1, measure=always(0.9))
    (start,) = (tmp_path / "first").glob("model_epoch_000_*.pth")

    records = train(
        tmp_path / "second", epochs=3, measure=always(0.5), validation_interval=3, resume_from=start
    )  # epoch 1 is not validated, epoch 2 is, and worse than epoch 0 was

    best = load_checkpoint(tmp_path / "second" / "model_best.pth")
    assert (best.epoch, best.metrics_epoch, best.metrics["cmc_rank_1"]) == (2, 2, 0.5)
    (between,) = (tmp_path / "second").glob("model_epoch_001_*.pth")
    assert (load_checkpoint(between).metrics_epoch, load_checkpoint(between).metrics["cmc_rank_1"]) == (0, 0.9)
    assert [record.validation and record.validation["cmc_rank_1"] for record in records] == [None, 0.5]


def test_a_checkpoint_of_a_version_that_did_not_note_the_validations_epoch_is_resumed(tmp_path: Path) -> None:
    train(tmp_path / "first", epochs=1, measure=always(0.9))
    (start,) = (tmp_path / "first").glob("model_epoch_000_*.pth")
    content = torch.load(start, weights_only=True)
    del content["reid"]["metrics_epoch"]
    torch.save(content, start)

    train(tmp_path / "second", epochs=2, measure=always(0.5), resume_from=start)

    assert load_checkpoint(tmp_path / "second" / "model_best.pth").metrics_epoch == 1


class SpoilsWeights(ReidModule):
    """Weights overflow in the update after a good loss, in step 2 of 2."""

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        if self.global_step == 1:  # it counts after this
            with torch.no_grad():
                self.network.classifier.weight[0, 0] = float("inf")


class SpoilsLoss(ReidModule):
    """The loss of step 1 is not a number, though its gradients do not reach the weights."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss + float("nan") if self.global_step == 0 else loss

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        closure()
        optimizer.zero_grad()
        super().optimizer_step(epoch, batch_idx, optimizer, lambda: None)


class SpoilsWeightsLater(ReidModule):
    """Weights overflow in the first update after a resume."""

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        with torch.no_grad():
            self.network.classifier.weight[0, 0] = float("inf")


@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_weights_that_are_no_numbers_are_never_saved(unit: str, tmp_path: Path) -> None:
    spoilt = module(SpoilsWeights)

    with pytest.raises(ReidError, match=r"epoch 0 is \d.* by step 2, with weights, .* that are no numbers"):
        train(tmp_path, epochs=2, trained=spoilt, measure=always(0.9), checkpoint_unit=unit)

    good = ["model_epoch_000_step_00001.pth", "reid_model_latest.pth"] if unit == "step" else []
    assert names(tmp_path) == good


def test_an_error_about_divergence_advises_only_what_is_not_so_already(tmp_path: Path) -> None:
    heavy = module(SpoilsLoss, base_lr=0.02)
    heavy.criterion.weights["id"] = 50.0
    heavy.criterion.weights["center"] = 9.0  # there is no center loss

    with pytest.raises(ReidError) as first:
        train(tmp_path / "first", epochs=2, trained=heavy, grad_clip=1.0)
    assert first.value.found.endswith("; learning rate 0.02, model.id_loss_weight 50")
    assert "earlier checkpoints" not in first.value.why
    assert first.value.fix == "look at those images, lower train.optim.base_lr; with that, begin anew"

    train(tmp_path / "second", epochs=1)
    (start,) = (tmp_path / "second").glob("model_epoch_000_*.pth")
    with pytest.raises(ReidError, match="earlier checkpoints are good") as later:
        train(tmp_path / "second", epochs=2, trained=module(SpoilsWeightsLater), resume_from=start)
    assert "or set train.grad_clip=1.0; with that, go on with train.resume_training_checkpoint_path=" in later.value.fix


class SpoilsStatistics(ReidModule):
    """A running statistic overflows, in step 2; the loss of that step and all parameters are good."""

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        if self.global_step == 1:
            self.network.neck.running_var[0] = float("inf")


class SpoilsAverage(ReidModule):
    """The moving average overflows, in step 2, and the network does not."""

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        if self.global_step == 1:
            self.evaluated_network.classifier.weight[0, 0] = float("nan")


@pytest.mark.parametrize("kind", [SpoilsStatistics, SpoilsAverage])
def test_statistics_and_averages_that_are_no_numbers_are_never_saved(kind: type[ReidModule], tmp_path: Path) -> None:
    with pytest.raises(ReidError, match=r"running statistics, centers or averages that are no numbers"):
        train(tmp_path, epochs=1, trained=module(kind, ema_decay=0.5))

    assert names(tmp_path) == []


def test_a_loss_that_was_no_number_stops_the_next_checkpoint_by_step(tmp_path: Path) -> None:
    spoilt = module(SpoilsLoss)

    with pytest.raises(ReidError, match=r"training loss of epoch 0 is nan by step 1.*train\.grad_clip"):
        train(tmp_path, epochs=2, trained=spoilt, checkpoint_unit="step")

    assert names(tmp_path) == []
