"""Real files, a real HTTP server that can misbehave on demand, and a real S3-compatible server on loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.data.helpers import Site

PKU = Path(__file__).parents[2] / ".." / "shared" / "data" / "pku_reid"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are on loopback, whatever proxy this machine uses."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture(scope="session")
def pku() -> Path:
    if not PKU.is_dir():
        pytest.skip("the PKU-Reid archives are not at ../shared/data/pku_reid")
    return PKU.resolve()


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            state.asked.append(self.headers.get("Range", ""))
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            if state.statuses and (status := state.statuses.pop(0)) != 200:
                self.send_response(status)
                self.send_header("Content-Length", str(len(state.body)))
                self.end_headers()
                self.wfile.write(state.body)
                return
            start = 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked and state.ranges and self.headers.get("If-Range", state.etag) == state.etag:
                start = int(asked[1])
            content = state.content
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if state.says_length:
                self.send_header("Content-Length", str(len(content) - start))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            limit = state.drop_after.pop(0) if state.drop_after else None
            self.wfile.write(content[start:] if limit is None else content[start : start + limit])
            if limit is not None and state.between:
                state.between(state)
            self.close_connection = True

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Clients that hang up are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Credentials of nobody, and nothing of this machine's own configuration."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return monkeypatch


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, aws_environment: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A client of the server, with a bucket of its own name for each test: `s3.bucket`."""
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    client = boto3.client("s3")
    client.bucket = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    client.create_bucket(Bucket=client.bucket)
    return client


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 1 MB; needs the right to mount one."""
    disk = tmp_path / "tiny_disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], capture_output=True, check=False)
