"""Several processes that share a training, an evaluation or an inference do what one does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from reid.actions.evaluate import evaluate
from reid.actions.inference import inference
from reid.actions.processes import processes
from reid.actions.settings import as_launched, hardware_of
from reid.actions.train import train
from reid.errors import ReidError, SpecError
from reid.spec.load import dump_spec
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import latest_weights, names, rows, status

ROOT = Path(__file__).parents[2]

PLAIN_STEPS = ("train.optim.name=SGD", "train.optim.base_lr=0.02")
"""Adam turns a gradient that is zero but for rounding into a full step, in a direction that rounding decides."""


NO_NORM = ("model.backbone=test_vit", "model.neck=", "model.neck_feat=before", "model.drop_path=0")
"""Batch norm multiplies the rounding of sums taken in another order by much in each step of so small a batch."""


def require_same_training(one: Path, two: Path, *, rel: float) -> None:
    """Fails unless two train folders hold the same files, weights and figures, but for rounding."""
    assert names(one) == names(two)
    ours, theirs = latest_weights(one), latest_weights(two)
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        torch.testing.assert_close(theirs[name], weights, rtol=rel, atol=rel / 10, msg=name)
    for a, b in zip(rows(one), rows(two), strict=True):
        assert {k: float(v) for k, v in b.items()} == pytest.approx({k: float(v) for k, v in a.items()}, rel=10 * rel)


def test_two_processes_train_like_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    settings = (
        *PLAIN_STEPS, *NO_NORM, "train.num_epochs=2", "dataset.re_prob=1.0", "dataset.padding=4",
        "model.with_center_loss=true", "model.metric_loss_type=triplet_center", "train.optim.center_loss_weight=0.1",
    )  # fmt: skip
    train(make_spec("train", tmp_path / "one", *settings))

    train(make_spec("train", tmp_path / "two", *settings, "train.num_gpus=2"))

    one, two = tmp_path / "one" / "train", tmp_path / "two" / "train"
    require_same_training(one, two, rel=1e-5)
    messages = [record["message"] for record in status(two)]
    assert messages.count("Starting Training Loop.") == 1  # one process writes
    assert "RANK" not in os.environ


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two CUDA devices")
def test_two_gpus_train_like_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    settings = (*PLAIN_STEPS, *NO_NORM, "train.num_epochs=2", "device=cuda", "train.precision=fp32")
    train(make_spec("train", tmp_path / "one", *settings))

    train(make_spec("train", tmp_path / "two", *settings, "train.num_gpus=2", "train.gpu_ids=[0,1]"))

    require_same_training(tmp_path / "one" / "train", tmp_path / "two" / "train", rel=1e-4)


@pytest.mark.slow  # two more trainings; tests/model/test_whole_batch.py holds one step of batch norm to 1e-9
def test_two_processes_train_a_network_with_batch_norm_to_the_losses_of_one(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    settings = (*PLAIN_STEPS, "train.optim.base_lr=0.001", "train.num_epochs=2", "dataset.batch_size=16")
    train(make_spec("train", tmp_path / "one", *settings))

    train(make_spec("train", tmp_path / "two", *settings, "train.num_gpus=2"))

    for one, two in zip(rows(tmp_path / "one" / "train"), rows(tmp_path / "two" / "train"), strict=True):
        for loss in ("train_loss", "train_loss_id", "train_loss_triplet"):
            assert float(two[loss]) == pytest.approx(float(one[loss]), rel=1e-3)


def test_two_processes_write_the_very_embeddings_of_one(make_spec: MakeSpec, trained: Path, tmp_path: Path) -> None:
    checkpoint = f"inference.checkpoint={trained}/train/model_best.pth"
    settings = (checkpoint, "inference.batch_size=5")  # 36 images: seven batches of five, and one image
    one = inference(make_spec("inference", tmp_path / "one", *settings))

    two = inference(make_spec("inference", tmp_path / "two", *settings, "inference.num_gpus=2"))

    assert two.figures == one.figures
    assert two.files["inference"].read_bytes() == one.files["inference"].read_bytes()
    assert pq.read_table(two.files["embeddings"]).equals(pq.read_table(one.files["embeddings"]))


@pytest.mark.slow  # starts a process, as the test before does, for the same sharing
def test_two_processes_measure_the_very_figures_of_one(make_spec: MakeSpec, trained: Path, tmp_path: Path) -> None:
    settings = (f"evaluate.checkpoint={trained}/train/model_best.pth", "evaluate.batch_size=3")
    one = evaluate(make_spec("evaluate", tmp_path / "one", *settings))

    two = evaluate(make_spec("evaluate", tmp_path / "two", *settings, "evaluate.num_gpus=2"))

    assert two.files["metrics"].read_bytes() == one.files["metrics"].read_bytes()
    assert names(two.results_dir) == names(one.results_dir)


def test_a_process_that_fails_ends_the_others_with_its_last_words(make_spec: MakeSpec, tmp_path: Path) -> None:
    sound = make_spec("inference", tmp_path, "inference.num_gpus=2")
    bad = sound.inference.model_copy(update={"checkpoint": str(tmp_path / "gone.pth")})  # which the other looks for
    spec = sound.model_copy(update={"inference": bad})

    with (
        pytest.raises(ReidError, match=r"(?s)process 1 .* of 2 ended with exit code 2.*there is no checkpoint"),
        processes("inference", spec, hardware_of(spec, "inference")),
    ):
        pass

    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("in_main_thread", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_ends_the_work_of_one_that_does_not_wait_for_it(
    make_spec: MakeSpec, tmp_path: Path, in_main_thread: bool
) -> None:
    spec = make_spec("train", tmp_path, "train.num_gpus=2")
    passed = []

    def work() -> None:
        with (  # noqa: PT012 - the work goes on until it is ended
            pytest.raises(
                ReidError, match=r"process 1 .* of 2 ended by signal 9\. .*others cannot go on.*smaller batch"
            ),
            processes("train", spec, hardware_of(spec)),
        ):
            os.kill(second_process_of(os.getpid()), signal.SIGKILL)
            began = time.monotonic()
            try:
                while time.monotonic() < began + 30:
                    time.sleep(0.01)
            finally:
                passed.append(time.monotonic() - began)

    if in_main_thread:
        work()
    else:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()

    assert passed[0] < 10
    assert not torch.distributed.is_initialized()


@pytest.mark.slow  # a training of its own
def test_processes_end_with_the_one_that_started_them_when_that_is_killed(make_spec: MakeSpec, tmp_path: Path) -> None:
    training = endless_training(make_spec, tmp_path)
    second = second_process_of(training.pid)
    os.kill(second, signal.SIGSTOP)  # it cannot notice that connections close, as one that waits on a GPU
    try:
        training.kill()
        training.wait()

        until = time.monotonic() + 5
        while running(second) and time.monotonic() < until:
            time.sleep(0.05)
        assert not running(second)
    finally:
        if running(second):
            os.kill(second, signal.SIGKILL)


@pytest.mark.slow  # two trainings of their own, and a third that goes on
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_main_process_saves_one_step_in_both_and_ends_them(
    make_spec: MakeSpec, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    training = endless_training(make_spec, tmp_path)
    second = second_process_of(training.pid)

    training.send_signal(number)
    _, said = training.communicate(timeout=60)

    assert training.returncode == code, said
    assert not running(second)
    latest = tmp_path / "train" / "reid_model_latest.pth"
    assert f"the same command goes on from {latest}" in said
    saved = torch.load(latest, weights_only=True)
    assert saved["global_step"] >= 1


@pytest.mark.slow  # a training of its own
def test_a_process_that_is_killed_ends_the_training_with_an_error(make_spec: MakeSpec, tmp_path: Path) -> None:
    training = endless_training(make_spec, tmp_path)
    try:
        os.kill(second_process_of(training.pid), signal.SIGKILL)

        _, said = training.communicate(timeout=60)
    finally:
        training.kill()
    assert training.returncode == 1
    assert "error: process 1 (counted from 0) of 2 ended by signal 9" in said
    assert status(tmp_path / "train")[-1]["status"] == "FAILURE"


def endless_training(make_spec: MakeSpec, folder: Path) -> subprocess.Popen[str]:
    """The command line of a training in two processes, whose first epoch has ended."""
    endless = (*NO_NORM, "train.num_gpus=2", "train.num_epochs=100000", "train.checkpoint_interval=100000")
    (folder / "spec.yaml").write_text(dump_spec(make_spec("train", folder, *endless)))
    training = subprocess.Popen(
        [sys.executable, "-m", "reid.cli", "train", "-e", str(folder / "spec.yaml")],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (folder / "train" / "metrics.csv").exists():
        assert training.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    return training


def running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie that nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def second_process_of(parent: int) -> int:
    """The child of a process that was told RANK=1."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            child_of = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if child_of == parent and b"\0RANK=1\0" in (folder / "environ").read_bytes():
                return int(folder.name)
        except OSError:
            continue  # it has just ended
    raise AssertionError("there is no second process")


def test_several_machines_need_torchrun(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec("train", tmp_path, "train.num_nodes=2", "dataset.batch_size=16")

    with pytest.raises(SpecError, match=r"train\.num_nodes is 2.*torchrun --nnodes 2"):
        train(spec)


def test_torchrun_says_how_many_processes_there_are_unless_the_spec_says_otherwise(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)

    spec = as_launched(make_spec("train", tmp_path, "dataset.batch_size=64"), "train")

    assert (spec.train.num_gpus, spec.train.gpu_ids, spec.train.num_nodes) == (4, (0, 1, 2, 3), 2)
    with pytest.raises(SpecError, match=r"train\.num_gpus is 2, and torchrun was started with --nproc-per-node 4"):
        as_launched(make_spec("train", tmp_path, "dataset.batch_size=64", "train.num_gpus=2"), "train")


@pytest.mark.slow  # three programs of their own
def test_torchrun_trains_and_evaluates_in_two_processes_and_one_of_them_writes(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    settings = (*PLAIN_STEPS, "train.num_epochs=2", "dataset.batch_size=16", "train.seed=-1")
    spec = make_spec("train", tmp_path, *settings)
    (tmp_path / "spec.yaml").write_text(dump_spec(spec))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", "2"),
        *("--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "reid.cli"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    for action in ("train", "evaluate"):
        done = subprocess.run(
            [*torchrun, action, "-e", str(tmp_path / "spec.yaml"), "--json"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout)  # one result, so one process printed it
        assert [record["status"] for record in status(tmp_path / action)].count("SUCCESS") == 1
    assert printed["figures"]["mAP"] == pytest.approx(float(rows(tmp_path / "train")[-1]["mAP"]), abs=1e-5)
    assert "num_gpus: 2" in (tmp_path / "train" / "experiment.yaml").read_text()
