"""A training that is killed or told to stop, at any moment, goes on to what it would have been."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from reid.guard import WITHOUT_A_WORD
from reid.model.checkpoint import load_checkpoint
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import TIMES, equal, latest_weights, names, rows, status
from tests.actions.processes import command, wait_for, warm_up

KILLS = 10
LONG = (
    "train.num_epochs=8", "train.checkpoint_interval_unit=step", "train.checkpoint_interval=2",
    "model.feat_dim=8192", "model.reduce_feat_dim=true",
)  # fmt: skip
"""Small steps and large checkpoints (50 MB), so that many kills fall into the writing of one."""


def told(folder: Path, message: str) -> bool:
    """Whether status.json holds a message."""
    file = folder / "status.json"
    return file.is_file() and message in file.read_text()


def writing(folder: Path) -> bool:
    """Whether a checkpoint is being written."""
    return any(folder.glob(".*.pth.*.tmp"))


@pytest.mark.slow  # twelve processes
def test_a_training_killed_ten_times_at_random_points_equals_one_that_was_never_killed(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"random points of seed {seed}")
    chance = random.Random(seed)
    warm_up()
    began = time.monotonic()
    whole = command("train", make_spec("train", tmp_path / "whole", *LONG), tmp_path / "whole")
    assert wait_for(lambda: told(tmp_path / "whole" / "train", "Starting Training Loop."), whole)
    startup = time.monotonic() - began
    whole.join(120)
    assert whole.exitcode == 0, (tmp_path / "whole" / "said.txt").read_text()
    course = time.monotonic() - began - startup

    spec, folder = make_spec("train", tmp_path / "cut", *LONG), tmp_path / "cut" / "train"
    killed, while_writing = 0, 0
    while killed < KILLS:
        process = command("train", spec, tmp_path / "cut")
        if killed % 2:
            wait_for(lambda: writing(folder), process)
            time.sleep(chance.uniform(0, 0.02))
        else:
            process.join(chance.uniform(0, startup + course / 8))
        assert process.exitcode is None, f"it ended after {killed} kills"
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        killed += 1
        while_writing += writing(folder)

    process = command("train", spec, tmp_path / "cut")
    process.join(120)

    assert process.exitcode == 0, (tmp_path / "cut" / "said.txt").read_text()
    assert while_writing > 0
    assert rows(folder) == rows(tmp_path / "whole" / "train")
    assert equal(latest_weights(folder), latest_weights(tmp_path / "whole" / "train"))
    assert names(folder) == names(tmp_path / "whole" / "train")
    records = status(folder)
    assert records[-1]["status"] == "SUCCESS"
    ends = [record["message"] for record in records if record["status"] == "FAILURE"]
    assert set(ends) == {WITHOUT_A_WORD}
    assert len(ends) == [record["message"] for record in records].count("Starting ReIdentification train.") - 1


def test_sigterm_saves_the_step_tells_how_to_go_on_and_exits_with_143(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec, folder = make_spec("train", tmp_path), tmp_path / "train"
    process = command("train", spec, tmp_path)
    assert wait_for(lambda: told(folder, "Train metrics generated."), process)
    assert process.pid
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)

    said = (tmp_path / "said.txt").read_text()
    assert process.exitcode == 143, said
    latest = folder / "reid_model_latest.pth"
    last = status(folder)[-1]
    assert (last["status"], last["error"]) == ("FAILURE", "Terminated")
    checkpoint = load_checkpoint(latest)
    saved = f"{latest} (epoch {checkpoint.epoch}, counted from 0, step {checkpoint.step})"
    assert last["message"] == f"Asked to stop by SIGTERM. the same command goes on from {saved}"
    assert said.endswith(f"stopped: SIGTERM\nnext:  the same command goes on from {saved}\n")
    assert checkpoint.epoch < 2

    again = command("train", spec, tmp_path)
    again.join(60)
    assert again.exitcode == 0
    assert rows(folder) == rows(trained / "train")
    assert equal(latest_weights(folder), latest_weights(trained / "train"))


@pytest.mark.slow  # two processes that import the engine
def test_sigterm_to_one_of_two_processes_stops_both_at_the_same_step(make_spec: MakeSpec, tmp_path: Path) -> None:
    two = ("train.num_gpus=2", "dataset.batch_size=16", "train.num_epochs=40", "train.keep_checkpoints=0")
    spec, folder = make_spec("train", tmp_path, *two), tmp_path / "train"
    process = command("train", spec, tmp_path)
    assert wait_for(lambda: told(folder, "Train metrics generated."), process, timeout_s=200)
    assert process.pid
    os.kill(process.pid, signal.SIGTERM)
    process.join(100)

    assert process.exitcode == 143, (tmp_path / "said.txt").read_text()
    assert status(folder)[-1]["error"] == "Terminated"
    latest = load_checkpoint(folder / "reid_model_latest.pth")
    done = len(rows(folder))
    assert latest.epoch in (done - 1, done)
    assert not [name for name in names(folder) if name.endswith(".tmp")]


def test_metrics_csv_is_restored_from_the_checkpoint_when_it_is_lost_or_stale(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    from reid.actions.train import train

    train(make_spec("train", tmp_path, "train.num_epochs=2"))
    file = tmp_path / "train" / "metrics.csv"
    content = file.read_text()
    history = load_checkpoint(tmp_path / "train" / "reid_model_latest.pth").history
    assert history is not None
    written = [{name: float(value) for name, value in row.items()} for row in rows(tmp_path / "train")]
    assert [{name: value for name, value in row.items() if name not in TIMES} for row in history] == written

    file.unlink()
    train(make_spec("train", tmp_path, "train.num_epochs=2"))
    assert file.read_text() == content

    file.write_text("\n".join([*content.splitlines()[:-1], content.splitlines()[-1].replace("1,", "7,", 1)]) + "\n")
    train(make_spec("train", tmp_path))
    assert rows(tmp_path / "train") == rows(trained / "train")
