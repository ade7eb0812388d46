"""A training that is asked to stop: it saves where it stands, and going on equals never having stopped."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from reid.errors import Terminated
from reid.model.callbacks import EpochRecord
from reid.model.checkpoint import load_checkpoint
from reid.model.module import ReidModule
from reid.model.selection import select_checkpoint
from tests.model.fitting import always, module, train


class Signalled(ReidModule):
    """Gets a signal in the middle of a step."""

    number: signal.Signals
    step: int

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == self.step:
            signal.raise_signal(self.number)
        return super().training_step(batch, batch_idx)


def signalled(step: int, number: signal.Signals = signal.SIGTERM) -> ReidModule:
    made = module(Signalled)
    assert isinstance(made, Signalled)
    made.step, made.number = step, number
    return made


def figures(records: list[EpochRecord]) -> list[object]:
    return [(record.epoch, record.step, record.training, record.validation) for record in records]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "reid_model_latest.pth").weights


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize(
    ("step", "saved"),
    [
        (2, "model_epoch_001_step_00003.pth"),  # the first of epoch 1's two steps: saved inside the epoch
        (3, "model_epoch_001_step_00004.pth"),  # its last one: saved with its validation
    ],
)
def test_a_stopped_training_saves_the_step_and_goes_on_to_equal_weights_and_figures(
    step: int, saved: str, number: signal.Signals, raised: type[BaseException], tmp_path: Path
) -> None:
    whole = train(tmp_path / "whole", epochs=3, measure=always(0.5), checkpoint_interval=3)
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]

    with pytest.raises(raised):
        train(tmp_path / "cut", epochs=3, measure=always(0.5), checkpoint_interval=3, trained=signalled(step, number))

    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers
    start = select_checkpoint(tmp_path / "cut", "latest_model")
    assert start.name == saved
    rest = train(tmp_path / "cut", epochs=3, measure=always(0.5), checkpoint_interval=3, resume_from=start)
    first = rest[0].epoch
    assert figures(rest) == figures(whole)[first:]
    ours, theirs = weights(tmp_path / "cut"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    history = load_checkpoint(tmp_path / "cut" / "reid_model_latest.pth").history
    assert history is not None
    assert [row["train_loss"] for row in history] == [record.training["train_loss"] for record in whole]


def test_a_signal_in_the_last_step_lets_the_training_end(tmp_path: Path) -> None:
    records = train(tmp_path, epochs=2, measure=always(0.5), trained=signalled(3))

    assert [record.epoch for record in records] == [0, 1]


def test_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path: Path) -> None:
    class Impatient(ReidModule):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the second one should have left")

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=1, trained=module(Impatient))

    assert list(tmp_path.glob("*.pth")) == []
