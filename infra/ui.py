"""`make ui`: the MLflow and Prefect pages of this checkout on loopback, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
READY_WITHIN_S = 120.0


def main() -> int:
    """Starts both servers on free ports (5000 and 4200 when they are free), prints their addresses, waits."""
    mlflow_port, prefect_port = _port(5000), _port(4200)
    servers = {
        f"http://127.0.0.1:{mlflow_port}": _start(
            [
                str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(mlflow_port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{HERE / 'mlflow.db'}",
                "--artifacts-destination", str(HERE / "mlartifacts"),
            ],
            {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        ),
        f"http://127.0.0.1:{prefect_port}": _start(
            [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(prefect_port)],
            {
                "PREFECT_HOME": str(HERE / ".prefect"),
                "PREFECT_API_URL": "",
                "PREFECT_UI_API_URL": f"http://127.0.0.1:{prefect_port}/api",
            },
        ),
    }  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: both servers are stopped
    try:
        for address, server in servers.items():
            _wait(address, server)
        mlflow_address, prefect_address = servers
        sys.stdout.write(f"\n  MLflow   {mlflow_address}/#/experiments   runs, metrics, pictures\n")
        sys.stdout.write(f"           {mlflow_address}/#/models        registered models\n")
        sys.stdout.write(
            f"  Prefect  {prefect_address}/runs   flow runs, task logs, artifacts\n\n  Ctrl-C stops both.\n"
        )
        sys.stdout.flush()
        while all(server.poll() is None for server in servers.values()):
            time.sleep(0.5)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for server in servers.values():
            _stop(server)


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    log = (HERE / ".prefect" / f"{Path(command[0]).name}.log").absolute()
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=HERE,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops them in order
        )


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the server for {address} ended at once; its log is in {HERE / '.prefect'}")
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 # our own loopback address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    sys.exit(f"{address} did not answer within {READY_WITHIN_S:.0f} s; its log is in {HERE / '.prefect'}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _port(wanted: int) -> int:
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("the system always has a free port")


if __name__ == "__main__":
    sys.exit(main())
