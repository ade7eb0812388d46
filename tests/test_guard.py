"""status.json after a process was killed: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reid.guard import WITHOUT_A_WORD, close_record, status_line
from reid.status import StatusLog

ROOT = Path(__file__).parents[1]

RUN = """
import os, sys, time
from pathlib import Path
from reid.status import StatusLog
log = StatusLog(Path(sys.argv[1]))
with log.guarded():
    log.write("STARTED", "Starting.")
    BODY
"""
WAIT = "open(sys.argv[1] + '.ready', 'w').close(); time.sleep(60)"


def start(path: Path, body: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process with a guarded status.json; it is in the block once this returns."""
    program = RUN.replace("BODY", body)
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, **options)
    ready = Path(f"{path}.ready")
    deadline = time.monotonic() + 30
    while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ready.exists()
    ready.unlink()
    return process


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ended(path: Path, *, within_s: float = 10) -> list[str]:
    """The statuses, once the file has an end."""
    deadline = time.monotonic() + within_s
    while records(path)[-1]["status"] not in ("SUCCESS", "FAILURE") and time.monotonic() < deadline:
        time.sleep(0.01)
    return [record["status"] for record in records(path)]


def guards_of(path: Path) -> list[int]:
    """Processes that were started to guard a file."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(path).encode() in command and any(part.endswith(b"guard.py") for part in command):
            found.append(int(folder.name))
    return found


def none_left(path: Path) -> bool:
    deadline = time.monotonic() + 10
    while guards_of(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not guards_of(path)


def test_a_killed_process_leaves_a_failure_that_says_so_and_no_process(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    process = start(path, WAIT)
    process.kill()
    process.wait()

    assert ended(path) == ["STARTED", "FAILURE"]
    last = records(path)[-1]
    assert (last["message"], last["verbosity"], last["error"]) == (WITHOUT_A_WORD, "ERROR", "Killed")
    assert none_left(path)


def test_the_guard_outlives_signals_to_the_whole_group(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    process = start(path, WAIT, start_new_session=True)
    (guard,) = guards_of(path)
    os.kill(guard, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    assert ended(path) == ["STARTED", "FAILURE"]


def test_a_fork_that_outlives_the_killed_process_does_not_hide_its_end(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    process = start(path, f"pid = os.fork(); pid and Path(sys.argv[1] + '.pid').write_text(str(pid)); {WAIT}")
    process.kill()
    process.wait()
    fork = int(Path(f"{path}.pid").read_text())

    assert ended(path) == ["STARTED", "FAILURE"]
    os.kill(fork, signal.SIGKILL)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_not_disturb_it(closed: str, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    program = RUN.replace("BODY", "os.system('echo to standard output'); log.write('RUNNING', 'Here.')")
    shell = f'exec "$0" -c "$1" "$2" {closed}'
    done = subprocess.run(["sh", "-c", shell, sys.executable, program, str(path)], cwd=ROOT, timeout=60, check=False)

    assert done.returncode == 0
    assert [record["status"] for record in records(path)] == ["STARTED", "RUNNING"]
    assert none_left(path)


def test_closed_standard_streams_do_not_hide_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    program = RUN.replace("BODY", "os.system('echo to standard output'); os.kill(os.getpid(), 9)")
    shell = 'exec "$0" -c "$1" "$2" <&- >&- 2>&-'
    subprocess.run(["sh", "-c", shell, sys.executable, program, str(path)], cwd=ROOT, timeout=60, check=False)

    assert ended(path) == ["STARTED", "FAILURE"]


def test_a_run_that_ends_by_itself_is_left_as_it_is_with_no_process_behind(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    log = StatusLog(path)
    with log.guarded():
        log.write("STARTED", "Starting.")
        assert len(guards_of(path)) == 1
        log.write("SUCCESS", "Done.")

    assert guards_of(path) == []
    assert [record["status"] for record in records(path)] == ["STARTED", "SUCCESS"]


def test_the_guard_costs_less_than_50_ms(tmp_path: Path) -> None:
    times = []
    for number in range(5):
        began = time.perf_counter()
        with StatusLog(tmp_path / f"{number}.json").guarded():
            pass
        times.append(time.perf_counter() - began)

    assert min(times) < 0.05


def test_the_next_run_closes_the_record_of_one_whose_guard_was_killed_too(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    process = start(path, WAIT)
    (guard,) = guards_of(path)
    os.kill(guard, signal.SIGKILL)
    process.kill()
    process.wait()
    assert [record["status"] for record in records(path)] == ["STARTED"]

    log = StatusLog(path)
    with log.guarded():
        log.write("STARTED", "Again.")
        log.write("SUCCESS", "Done.")

    assert [record["status"] for record in records(path)] == ["STARTED", "FAILURE", "STARTED", "SUCCESS"]


def test_a_guard_that_comes_after_the_next_run_has_begun_leaves_that_ones_record_alone(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text(status_line("STARTED", "one") + status_line("FAILURE", "closed") + status_line("STARTED", "two"))

    assert not close_record(path, 0)
    assert close_record(path, len(status_line("STARTED", "one") + status_line("FAILURE", "closed")))
    assert [record["status"] for record in records(path)] == ["STARTED", "FAILURE", "STARTED", "FAILURE"]


def test_a_line_that_was_not_finished_is_removed_and_one_of_another_program_stays(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("[1, 2]\nnot json\n" + status_line("STARTED", "one") + '{"status": "SUC')

    assert close_record(path)

    lines = path.read_text().splitlines()
    assert lines[:2] == ["[1, 2]", "not json"]
    assert [json.loads(line)["status"] for line in lines[2:]] == ["STARTED", "FAILURE"]


def test_no_file_an_empty_one_and_a_closed_one_have_nothing_to_close(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert not close_record(path)
    path.touch()
    assert not close_record(path)
    path.write_text(status_line("SUCCESS", "done"))
    assert not close_record(path)
    assert len(records(path)) == 1
