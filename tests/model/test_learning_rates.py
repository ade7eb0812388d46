"""The learning rate of each step of a training, also of a resumed one, and what a resume takes from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from reid.devices import Hardware
from reid.errors import CheckpointError
from reid.model.module import ReidModule
from reid.model.schedule import Schedule
from tests.model.fitting import module, train

STEPS = {"checkpoint_unit": "step", "checkpoint_interval": 1}
INSIDE = "model_epoch_001_step_00003.pth"


class Watched(ReidModule):
    """Keeps the learning rates of each step, (weights, biases), and the norm of the gradient it used."""

    rates: list[list[float]]
    norms: list[float]

    def on_train_start(self) -> None:
        self.rates, self.norms = [], []

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        self.rates.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        super().optimizer_step(*arguments, **more)
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self.norms.append(float(torch.nn.utils.get_total_norm(gradients)))


def test_each_step_has_its_rate_in_every_group_and_a_resume_inside_an_epoch_finds_it_again(tmp_path: Path) -> None:
    schedule = Schedule("linear", num_epochs=3, warmup_iters=0, milestones=(3,), gamma=0.1, warmup_steps=3)
    whole, resumed = (module(Watched, base_lr=0.3, schedule=schedule) for _ in range(2))

    records = train(tmp_path, epochs=3, trained=whole, **STEPS)
    train(tmp_path / "resumed", epochs=3, trained=resumed, resume_from=tmp_path / INSIDE, **STEPS)

    weights = [0.1, 0.2, 0.3, 0.3, 0.03, 0.03]  # two steps an epoch
    assert whole.rates == [pytest.approx([rate, 2 * rate]) for rate in weights]
    assert resumed.rates == whole.rates[3:]
    assert [record.learning_rate for record in records] == pytest.approx([0.2, 0.3, 0.03])


def test_a_checkpoint_with_the_state_of_a_scheduler_is_resumed_by_the_schedule_of_now(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    (start,) = tmp_path.glob("model_epoch_000_*")
    content = torch.load(start, weights_only=True)
    for group in content["optimizer_states"][0]["param_groups"]:
        group |= {"lr": 0.5, "initial_lr": 0.5}
        del group["fused"]
    scheduler = LambdaLR(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5), lambda epoch: 1.0)
    content["lr_schedulers"] = [scheduler.state_dict()]
    torch.save(content, start)
    resumed = module(Watched, base_lr=0.02)

    train(tmp_path, epochs=2, trained=resumed, resume_from=start)

    assert resumed.rates == [[0.02, 0.04]] * 2
    (group, _) = resumed.trainer.optimizers[0].param_groups
    assert (group["lr"], group["fused"]) == (0.02, True)


def test_an_optimiser_state_of_other_groups_is_refused_in_words(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    (start,) = tmp_path.glob("model_epoch_000_*")

    with pytest.raises(CheckpointError, match="other groups of parameters"):
        train(tmp_path, epochs=2, trained=module(bias_lr_factor=1.0), resume_from=start)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_gradient_is_no_longer_than_its_limit_with_a_fused_optimiser_too(precision: Any, tmp_path: Path) -> None:
    limited, free = module(Watched), module(Watched)
    hardware = Hardware(torch.device("cpu"), precision=precision)

    train(tmp_path / "limited", epochs=1, trained=limited, hardware=hardware, grad_clip=0.01)
    train(tmp_path / "free", epochs=1, trained=free, hardware=hardware)

    assert limited.norms == pytest.approx([0.01, 0.01], rel=1e-3)
    assert min(free.norms) > 0.02
