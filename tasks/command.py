"""An action as a command of its own, for a step that several processes share."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from reid import errors
from reid.actions.result import ActionResult
from reid.actions.settings import Shared, hardware_of
from reid.errors import ReidError
from reid.spec.experiment import ExperimentSpec
from reid.spec.load import KEY_VARIABLE, dump_spec

log = logging.getLogger("reid.command")  # below `reid`, so that Prefect shows it like the library's own lines

STOP_S = 20
"""How long a command that is told to stop may take to leave."""


def run_or_command(
    action: Shared, function: Callable[[ExperimentSpec], ActionResult], spec: ExperimentSpec
) -> ActionResult:
    """Calls the action here where one process does it, else runs it as a command."""
    hardware = hardware_of(spec, action)
    return run_command(action, spec) if hardware.processes * hardware.num_nodes > 1 else function(spec)


def run_command(action: Shared, spec: ExperimentSpec) -> ActionResult:
    """Runs `reid <action>` on the spec, with its log lines passed on as they come.

    A flow run lives in a thread of the worker, which can neither be told to stop nor belong to a group of processes;
    and what takes a GPU down must not take the worker along.

    Raises:
        ReidError: the action failed; of the class and with the words it left in status.json.
    """
    with tempfile.TemporaryDirectory(prefix=f"reid-{action}-") as folder:
        file = Path(folder) / "experiment.yaml"
        file.write_text(dump_spec(spec, given_only=True), encoding="utf-8")
        already = _status_lines(action, spec)
        command = [sys.executable, "-m", "reid.cli", action, "-e", str(file), "--json"]
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
        raise _failure(action, _status_lines(action, spec)[len(already) :], code)
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


def _status_lines(action: str, spec: ExperimentSpec) -> list[str]:
    """status.json of the action's folder; it grows by each run, so that what stands there may be an old story."""
    try:
        return (spec.results_folder(action) / "status.json").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _failure(action: str, lines: Sequence[str], code: int) -> ReidError:
    """The error of the command, from the last of the status lines that it wrote."""
    try:
        record: dict[str, Any] = json.loads(lines[-1])
    except (ValueError, IndexError):
        record = {}
    if record.get("status") != "FAILURE":
        return ReidError(f"{action} ended with exit code {code}", "", "its log lines above tell why")
    kind = getattr(errors, str(record.get("error", "")), ReidError)
    return kind(str(record["message"])) if issubclass(kind, ReidError) else ReidError(str(record["message"]))


def _result(printed: dict[str, Any]) -> ActionResult:
    return ActionResult(
        action=printed["action"],
        results_dir=Path(printed["results_dir"]),
        figures=printed["figures"],
        files={name: Path(path) for name, path in printed["files"].items()},
        run_id=printed["run_id"],
        intervals={name: (low, high) for name, (low, high) in printed["intervals"].items()},
    )
