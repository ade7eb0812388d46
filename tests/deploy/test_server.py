"""Tracking against a real MLflow server on loopback: the whole way, and a server that dies meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reid.deploy.package import LOADER, pinned_requirements, read_export
from reid.deploy.pyfunc import Embedder
from reid.errors import TrackingError
from reid.tracking import ServedModel, Tracking, promote_challenger, register_model, results_folder_of, start_run
from tests.deploy.conftest import Exported

pytest.importorskip("mlflow")
pytestmark = pytest.mark.slow

SPEC = {"results_dir": "results", "train": {"num_epochs": 2}}


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as (uri, _):
        yield Tracking(enable=True, uri=uri)


def test_a_registered_and_promoted_model_is_loaded_from_the_server(tracking: Tracking, exported: Exported) -> None:
    import mlflow

    model = read_export(exported.path)
    with start_run(tracking, action="register", resolved_spec=SPEC) as run:
        registered = register_model(
            tracking,
            ServedModel(model.files, LOADER, pinned_requirements(), model.embedding_size),
            run_id=str(run.id),
            metrics={"mAP": 0.5},
            test_set="images-a",
            protocol={},
            tags=model.metadata,
        )
    promotion = promote_challenger(tracking)

    mlflow.set_tracking_uri(tracking.uri)
    got = [
        mlflow.pyfunc.load_model(f"models:/reid@{alias}").predict([str(path) for path in exported.pictures])
        for alias in ("challenger", "champion")
    ]

    assert (registered.version, promotion.version) == (1, 1)
    expected = Embedder(exported.path.parent).predict(exported.pictures)
    np.testing.assert_array_equal(got, [expected, expected])


def test_files_come_back_from_the_server_when_the_folder_is_on_another_machine(
    tracking: Tracking, tmp_path: Path
) -> None:
    (tmp_path / "model_best.pth").write_bytes(b"weights")
    with start_run(tracking, action="train", resolved_spec={"results_dir": "/elsewhere"}) as run:
        run.log_artifact(tmp_path / "model_best.pth")

    folder = results_folder_of(tracking, str(run.id), cache_dir=tmp_path)

    assert (folder / "train" / "model_best.pth").read_bytes() == b"weights"


def test_four_actions_that_start_at_once_agree_on_one_parent(tracking: Tracking) -> None:
    collected = replace(tracking, pipeline="at once")

    def parent_of(action: str) -> str | None:
        with start_run(collected, action=action, resolved_spec=SPEC) as run:
            return run.parent_id

    with ThreadPoolExecutor(4) as pool:
        parents = set(pool.map(parent_of, ["dataset", "train", "evaluate", "inference"]))

    assert len(parents) == 1


def test_an_address_that_is_no_mlflow_server_is_an_error(tmp_path: Path) -> None:
    port = _free_port()
    other = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/", other)
        started = time.monotonic()
        with (
            pytest.raises(TrackingError, match="failed while looking for the experiment 'reid'"),
            start_run(Tracking(enable=True, uri=f"http://127.0.0.1:{port}"), action="train", resolved_spec=SPEC),
        ):
            pytest.fail("the work began")
        assert time.monotonic() - started < 20
    finally:
        other.kill()
        other.wait()


def test_a_server_that_stops_during_the_work_costs_log_lines_and_not_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mlflow_server(tmp_path) as (uri, stop), caplog.at_level(logging.WARNING):
        with start_run(Tracking(enable=True, uri=uri), action="train", resolved_spec=SPEC) as run:
            stop()
            started = time.monotonic()
            for epoch in range(5):
                run.log_metrics({"loss": 1.0}, step=epoch)
            finished = True
        took_s = time.monotonic() - started

    assert finished
    assert took_s < 60
    assert "5 records of MLflow run" in caplog.text
    assert "could not be ended as FINISHED" in caplog.text


def test_what_a_server_missed_while_it_was_down_is_sent_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr("reid.tracking.recorder.RETRY_AFTER_S", 0.0)
    port = _free_port()
    with mlflow_server(tmp_path, port) as (uri, stop):
        context = start_run(Tracking(enable=True, uri=uri), action="train", resolved_spec=SPEC)
        run = context.__enter__()
        stop()
        run.log_metrics({"loss": 3.0}, step=0)
    with mlflow_server(tmp_path, port):
        run.log_metrics({"loss": 2.0}, step=1)
        context.__exit__(None, None, None)
        client = MlflowClient(tracking_uri=uri)
        history = client.get_metric_history(str(run.id), "loss")

        assert [(point.step, point.value) for point in history] == [(0, 3.0), (1, 2.0)]
        assert client.get_run(str(run.id)).info.status == "FINISHED"


@contextmanager
def mlflow_server(folder: Path, port: int | None = None) -> Iterator[tuple[str, Callable[[], None]]]:
    """Address of a server on loopback, and a function that stops it before the block ends."""
    port = port or _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    with (folder / "server.log").open("a") as log_file:
        server = subprocess.Popen(
            command + store, cwd=folder, env=environment, stdout=log_file, stderr=log_file, start_new_session=True
        )

    def stop() -> None:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}", stop
    finally:
        stop()


def _wait_for(address: str, process: subprocess.Popen[bytes], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer from {address} in {timeout_s} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
