"""A tiny copy of the project, its commands, and servers that are waited for and always stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NOT_COPIED = ("__pycache__", "tmp", "cache", "data", "results", "dvc.lock", "mlflow.db*", "mlartifacts")
"""What commands leave in a checkout."""
SAMPLE = ("--identities", "12", "--cameras", "2", "--images-per-camera", "2")


@dataclass(frozen=True)
class Project:
    """A git and DVC project in a temporary folder, and the environment its commands run in."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, check: bool = True, timeout_s: float = 400, **more: str) -> str:
        """Runs a command of the environment's bin folder; its stdout and stderr together."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]] if (BIN / command[0]).exists() else command,
            cwd=self.folder,
            env=self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def set(self, **values: Any) -> None:
        """Changes keys of params.yaml: `train__num_epochs=1`."""
        file = self.folder / "params.yaml"
        spec = yaml.safe_load(file.read_text())
        for name, value in values.items():
            section, key = name.split("__")
            spec[section][key] = value
        file.write_text(yaml.safe_dump(spec, sort_keys=False))


def make_project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("flows", "tasks", "infra", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for name in (".dvcignore", ".gitignore", "dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    stages = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(stages.replace("${reid} sample", f"${{reid}} sample {' '.join(SAMPLE)}", 1))
    project = Project(folder, os.environ | offline(tmp_path / "home"))
    project.set(
        model__backbone="test_resnet",
        model__input_height=64,
        model__input_width=32,
        dataset__batch_size=8,
        dataset__num_instances=2,
        dataset__num_workers=0,
        train__num_epochs=2,
        train__validation_interval=1,
        train__checkpoint_interval=1,
        export__verify_images=4,
    )
    project.run("git", "init", "--quiet")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "A project")
    return project


def offline(home: Path) -> dict[str, str]:
    """Environment in which no tool reads the user's settings, writes to the user's folders, or phones home."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "reid",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": "",  # mlflow.set_tracking_uri of another test leaves its server's address here
        "DVC_NO_ANALYTICS": "true",
        "GIT_AUTHOR_NAME": "Somebody",
        "GIT_AUTHOR_EMAIL": "somebody@example.org",
        "GIT_COMMITTER_NAME": "Somebody",
        "GIT_COMMITTER_EMAIL": "somebody@example.org",
        "OMP_NUM_THREADS": "1",
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def background(command: list[str], *, log: Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process group that is ended at the end, gently first."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, **more
        )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def wait_until(ready: Callable[[], bool], *, what: str, log: Path, timeout_s: float = 120) -> None:
    """Polls; on failure the log tells why."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        text = log.read_text(errors="replace")[-3000:] if log.is_file() else ""
        assert time.monotonic() < deadline, f"{what} was not ready after {timeout_s} s:\n{text}"
        time.sleep(0.3)


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
