"""`python -m flows.demo`, on a small sample, where the user's environment points to servers that do not answer."""

from __future__ import annotations

import pytest

from tests.orchestration.helpers import Project

pytestmark = pytest.mark.slow


def test_the_demo_uses_its_own_server_and_store_whatever_the_environment_names(project: Project) -> None:
    project.run("dvc", "repro", "--quiet", "sample")
    nobody = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}

    said = project.run("python", "-m", "flows.demo", **nobody)

    assert "people never seen in training" in " ".join(said.split())  # a narrow table wraps it
    assert (project.folder / ".prefect" / "prefect.db").is_file()
    assert (project.folder / "mlflow.db").is_file()
