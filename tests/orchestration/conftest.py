"""A tiny copy of the DVC project, a Prefect server, and nothing that leaves the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestration.ceph import Ceph, running_ceph
from tests.orchestration.helpers import Project, make_project, offline


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project's own dvc.yaml, flows and tasks, on 12 drawn people and a network of 64 x 32 pixels."""
    return make_project(tmp_path)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect's own test server, its home in a temporary folder."""
    before = dict(os.environ)
    os.environ.update(offline(tmp_path_factory.mktemp("prefect")))
    try:
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A real S3-compatible server, Ceph's gateway, on loopback; skips where it cannot be started."""
    with running_ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server
