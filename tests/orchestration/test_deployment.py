"""A real Prefect server, work pool and worker on loopback, driven by Prefect's own commands."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from tests.orchestration.helpers import BIN, Project, background, free_port, listens, wait_until

pytestmark = pytest.mark.slow


def test_a_deployment_run_with_overrides_goes_through_server_pool_and_worker(project: Project) -> None:
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    project.run("dvc", "repro", "--quiet", "sample")
    environment = project.environment | {"PREFECT_API_URL": api}
    logs = project.folder.parent
    with ExitStack() as servers:
        serve = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        servers.enter_context(background(serve, log=logs / "server.log", env=environment, cwd=project.folder))
        wait_until(lambda: listens(port), what="prefect server", log=logs / "server.log")
        api_url = {"PREFECT_API_URL": api}
        project.run("prefect", "work-pool", "create", "--type", "process", "local", **api_url)
        deployed = project.run(
            "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "infra/prefect.yaml", **api_url
        )
        assert deployed.count("successfully created") == 10
        work = [str(BIN / "prefect"), "worker", "start", "--pool", "local", "--type", "process", "--limit", "1"]
        quick = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
        servers.enter_context(background(work, log=logs / "worker.log", env=environment | quick, cwd=project.folder))
        said = project.run(
            "prefect", "deployment", "run", "pipeline/local", "--param", 'overrides=["train.num_epochs=1"]',
            "--watch", "--watch-timeout", "300", check=False, **api_url,
        )  # fmt: skip
        worked = (logs / "worker.log").read_text(errors="replace")
        assert "finished successfully" in said.lower() or "Completed" in said, f"{said}\n{worked[-6000:]}"
        selected = json.loads((project.folder / "results" / "select" / "selection.json").read_text())
        assert selected["epoch"] == 0  # of one epoch; params.yaml says two
        assert (project.folder / "results" / "register" / "registration.json").is_file()
        assert "reid.actions.base" in worked  # the library's lines are shown with the run
        assert not (project.folder / "dvc.lock").read_text().count("results/train")  # overrides: not what DVC makes
