"""The `train` step: in this process for one device, as a command of its own for several."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from prefect import task

from reid import errors
from reid.actions.result import ActionResult
from reid.actions.settings import hardware_of
from reid.actions.train import train
from reid.errors import ReidError
from reid.spec.load import KEY_VARIABLE, dump_spec
from reid.spec.re_identification import ReIdentificationSpec
from tasks.artifacts import publish
from tasks.policy import GPU_TAG, HOUR_S, POLICY

log = logging.getLogger("reid.train")  # below `reid`, so that Prefect shows it like the library's own lines

STOP_S = 20
"""How long a training that is told to stop may take to leave."""


@task(
    name="train",
    task_run_name="train {spec.model.backbone} for {spec.train.num_epochs} epochs",
    tags=[GPU_TAG],
    timeout_seconds=14 * 24 * HOUR_S,
    **POLICY,
)
def train_task(spec: ReIdentificationSpec) -> ActionResult:
    """Runs the action; see `reid.actions.train` for what it writes and raises."""
    result = train_as_command(spec) if uses_processes(spec) else train(spec)
    publish(result)
    return result


def uses_processes(spec: ReIdentificationSpec) -> bool:
    """Whether several processes train together."""
    hardware = hardware_of(spec)
    return hardware.processes * hardware.num_nodes > 1


def train_as_command(spec: ReIdentificationSpec) -> ActionResult:
    """Trains by `reid train`, with its log lines passed on as they come.

    Lightning starts the other processes by running this program's command line again. Inside a flow run that line
    is the flow's, and each GPU would start the flow anew.

    Raises:
        ReidError: the training failed; of the class and with the words it left in status.json.
    """
    with tempfile.TemporaryDirectory(prefix="reid-train-") as folder:
        file = Path(folder) / "experiment.yaml"
        file.write_text(dump_spec(spec), encoding="utf-8")
        already = _status_lines(spec)
        command = [sys.executable, "-m", "reid.cli", "train", "-e", str(file), "--json"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | ({KEY_VARIABLE: spec.encryption_key} if spec.encryption_key else {}),
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            relay = threading.Thread(target=_pass_on, args=(process.stderr,), daemon=True)
            relay.start()
            printed = process.stdout.read()
            code = process.wait()
            relay.join(STOP_S)
        finally:
            _stop(process)
    if code:
        raise _failure(_status_lines(spec)[len(already) :], code)
    return _result(json.loads(printed))


def _pass_on(lines: IO[str]) -> None:
    for line in lines:
        log.info("%s", line.rstrip())


def _stop(process: subprocess.Popen[str]) -> None:
    """Ends the whole group: a cancelled flow run or a time limit must leave no process on a GPU."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _status_lines(spec: ReIdentificationSpec) -> list[str]:
    """status.json of the training's folder; it grows by each run, so that what stands there may be an old story."""
    try:
        return (spec.results_folder("train") / "status.json").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _failure(lines: Sequence[str], code: int) -> ReidError:
    """The error of a training, from the last of the status lines that it wrote."""
    try:
        record: dict[str, Any] = json.loads(lines[-1])
    except (ValueError, IndexError):
        record = {}
    if record.get("status") != "FAILURE":
        return ReidError(f"the training ended with exit code {code}", "", "its log lines above tell why")
    kind = getattr(errors, str(record.get("error", "")), ReidError)
    return kind(str(record["message"])) if issubclass(kind, ReidError) else ReidError(str(record["message"]))


def _result(printed: dict[str, Any]) -> ActionResult:
    return ActionResult(
        action=printed["action"],
        results_dir=Path(printed["results_dir"]),
        figures=printed["figures"],
        files={name: Path(path) for name, path in printed["files"].items()},
        run_id=printed["run_id"],
    )
