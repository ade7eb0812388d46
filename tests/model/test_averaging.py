"""The moving average of a network against plain loops over its weights, and its place in a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reid.model.averaging import MovingAverage
from reid.model.checkpoint import load_checkpoint
from reid.model.module import ReidModule
from tests.model.fitting import always, content, equal, module, train


def test_the_decay_grows_from_a_tenth_to_its_value_with_the_steps() -> None:
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    average = MovingAverage(network, decay=0.2)
    average.follow(network)
    seen = []

    for step, weight in enumerate([2.0, 3.0, 5.0]):  # decays 1/10, 2/11, then 3/12 is more than 0.2
        network.weight.data.fill_(weight)
        average.update(step)
        seen.append(float(average.network.weight))

    first = 0.1 * 1 + 0.9 * 2
    second = 2 / 11 * first + 9 / 11 * 3
    assert seen == pytest.approx([first, second, 0.2 * second + 0.8 * 5])


class Watched(ReidModule):
    """Keeps the network's tensors after each step."""

    history: list[dict[str, Tensor]]

    def on_train_start(self) -> None:
        self.history = [_copy(self.network)]

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        super().optimizer_step(*arguments, **more)
        self.history.append(_copy(self.network))


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_a_checkpoint_holds_the_average_of_weights_and_statistics_over_all_steps_and_is_loaded_as_that(
    tmp_path: Path,
) -> None:
    watched = module(Watched, ema_decay=0.15)
    train(tmp_path, epochs=2, trained=watched)

    start, *later = watched.history
    expected = dict(start)
    assert len(later) == 4
    for step, weights in enumerate(later):
        decay = min(0.15, (1 + step) / (10 + step))
        for name, value in weights.items():
            counted = not value.is_floating_point()
            expected[name] = value if counted else decay * expected[name] + (1 - decay) * value
    saved = content(tmp_path, "model_epoch_001_*")["ema"]
    assert saved.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(saved[name], value, atol=1e-6), name
    assert not torch.allclose(saved["classifier.weight"], later[-1]["classifier.weight"], atol=1e-5)
    assert int(saved["neck.num_batches_tracked"]) == 4
    (path,) = tmp_path.glob("model_epoch_001_*")
    assert equal(dict(load_checkpoint(path).build_network().state_dict()), saved)


def test_validation_measures_the_average(tmp_path: Path) -> None:
    measured = []

    def measure(trained: Any) -> dict[str, float]:
        measured.append(_copy(trained.evaluated_network))
        return {"cmc_rank_1": 0.5, "mAP": 0.5}

    train(tmp_path, epochs=1, trained=module(ema_decay=0.9), measure=measure)

    saved = content(tmp_path, "model_best.pth")["ema"]
    numbers = {name for name, tensor in saved.items() if tensor.is_floating_point()}  # the others count batches
    assert all(torch.equal(measured[0][name], saved[name]) for name in numbers)


def test_without_a_decay_there_is_no_average_and_the_network_itself_is_measured(tmp_path: Path) -> None:
    plain = module()

    train(tmp_path, epochs=1, trained=plain, measure=always(0.5))

    assert "ema" not in content(tmp_path, "model_best.pth")
    assert plain.evaluated_network is plain.network


def test_a_resume_inside_an_epoch_goes_on_with_the_same_average(tmp_path: Path) -> None:
    by_step = {"checkpoint_unit": "step", "checkpoint_interval": 1}
    train(tmp_path / "whole", epochs=2, trained=module(ema_decay=0.9), **by_step)
    inside = tmp_path / "whole" / "model_epoch_001_step_00003.pth"

    train(tmp_path / "resumed", epochs=2, trained=module(ema_decay=0.9), resume_from=inside, **by_step)

    whole, resumed = (content(tmp_path / run, "model_epoch_001_step_00004.pth") for run in ("whole", "resumed"))
    for part in ("ema", "state_dict", "optimizer_states"):
        assert equal(whole[part], resumed[part]), part
    assert not equal(whole["ema"], content(tmp_path / "whole", inside.name)["ema"])


def test_a_training_without_an_average_is_resumed_with_one_that_starts_from_its_weights(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    (start,) = tmp_path.glob("model_epoch_000_*")
    before = load_checkpoint(start).weights
    resumed = module(ema_decay=0.5, base_lr=1e-12)

    train(tmp_path, epochs=2, trained=resumed, resume_from=start)

    after = load_checkpoint(next(tmp_path.glob("model_epoch_001_*"))).weights
    assert torch.allclose(after["classifier.weight"], before["classifier.weight"])
