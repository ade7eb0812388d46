"""What tasks and flows decide without any server."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import yaml
from PIL import Image
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed
from prefect.tasks import Task

from flows.graph import content_of, record_in_dvc
from reid.data.sources import TransientError
from reid.data.transfer import Patience, with_retries
from reid.errors import DataError, FetchError, ReidError, SpecError
from reid.files import sole_writer
from reid.spec.load import load_spec
from tasks.artifacts import MAX_WIDTH, data_uri, metrics_table
from tasks.command import run_command
from tasks.policy import lost_connection
from tasks.train import train_task

ROOT = Path(__file__).parents[2]


def retried(error: Exception) -> bool:
    unused = cast(TaskRun, None)
    return lost_connection(cast("Task[..., Any]", train_task), unused, Failed(data=error))


def test_a_connection_that_stays_lost_is_worth_another_attempt_of_the_task() -> None:
    def never_there() -> None:
        raise TransientError("connection lost")

    with pytest.raises(FetchError) as lost:
        with_retries(never_there, label="s3://bucket/key", patience=Patience(attempts=1))
    assert retried(lost.value)


@pytest.mark.parametrize("kind", [SpecError, DataError, FetchError, ReidError, ValueError])
def test_what_is_the_same_at_every_attempt_is_not_tried_again(kind: type[Exception]) -> None:
    assert not retried(kind("as it was before"))


def test_pictures_in_artifacts_are_reduced_and_stay_far_below_the_limit_of_an_event(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 2400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    uri = data_uri(tmp_path / "noise.png")
    kind, _, content = uri.removeprefix("data:image/").partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(content))) as shown:
        assert (shown.width, shown.height) == (MAX_WIDTH, MAX_WIDTH // 4)
    assert kind == "jpeg"
    assert len(uri) < 500_000


def test_metrics_table_is_markdown_with_four_places() -> None:
    assert metrics_table({"mAP": 0.83333, "queries": 12}).splitlines()[2:] == ["| mAP | 0.8333 |", "| queries | 12 |"]


def test_results_of_other_settings_are_never_committed_to_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    assert "1 overrides" in record_in_dvc("params.yaml", ["train.num_epochs=2"], b"")
    assert "other.yaml" in record_in_dvc("other.yaml", [], None)
    assert "no .dvc and no dvc.yaml" in record_in_dvc("params.yaml", [], b"")


def test_a_spec_that_was_edited_while_the_flow_ran_is_not_committed_to_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("train: {num_epochs: 20}")
    content = content_of("params.yaml")
    (tmp_path / "params.yaml").write_text("train: {num_epochs: 30}")
    assert "params.yaml was changed while the flow ran" in record_in_dvc("params.yaml", [], content)


@pytest.mark.slow
def test_a_training_command_that_dies_early_is_not_given_the_error_of_an_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    old = {"status": "FAILURE", "error": "DataError", "message": "an old story"}
    (folder / "status.json").write_text(json.dumps(old) + "\n")
    spec = load_spec("train", None, [f"results_dir={tmp_path}", "device=cpu", "train.num_gpus=2"]).spec
    with (
        sole_writer(folder),
        pytest.raises(ReidError) as failed,
    ):  # the command finds the folder taken, and writes nothing
        run_command("train", spec)
    assert "train ended with exit code" in failed.value.found
    assert "an old story" not in str(failed.value)


def test_the_demo_forgets_the_servers_and_settings_of_its_user() -> None:
    theirs = {
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_HOME": "/nowhere",
        "PREFECT_PROFILE": "cloud",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    program = """
from flows.demo import stand_alone
stand_alone()
from prefect.settings import get_current_settings
from reid.tracking import Tracking
settings = get_current_settings()
print(settings.home, settings.api.url, Tracking().resolved_uri)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | theirs, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(ROOT / ".prefect"), "None", f"sqlite:///{ROOT / 'mlflow.db'}"]


def test_there_is_a_deployment_for_the_pipeline_of_each_family_and_for_each_action() -> None:
    written = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())
    assert [entry["entrypoint"].partition(":")[2] for entry in written["deployments"]] == [
        "pipeline", "pipeline", "dataset", "train", "select", "evaluate", "inference", "export", "register", "promote",
    ]  # fmt: skip
    assert [entry["name"] for entry in written["deployments"]] == ["local", "ml-recog", *["local"] * 8]
    assert (ROOT / written["deployments"][1]["parameters"]["spec"]).is_file()
    assert {entry["work_pool"]["name"] for entry in written["deployments"]} == {"local"}


def test_every_key_that_a_stage_depends_on_stands_in_the_params_file() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in stages.values():
        for name in stage.get("params", []):
            value: Any = params
            for part in name.split("."):
                value = value[part]


def test_containers_publish_on_loopback_only_drop_rights_and_say_whether_they_are_well() -> None:
    services = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())["services"]
    assert set(services) == {"prefect", "mlflow", "worker"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["cap_drop"] == ["ALL"]
        assert service["healthcheck"]["test"][0] == "CMD"
    users = [line for line in (ROOT / "infra" / "Dockerfile").read_text().splitlines() if line.startswith("USER")]
    assert users == ["USER reid"]


def test_the_image_holds_all_that_its_build_copies() -> None:
    allowed = [
        line[1:] for line in (ROOT / "infra" / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    copied = [
        name.removeprefix("./")
        for line in (ROOT / "infra" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
        for name in line.split()[1:-1]
        if not name.startswith("--")
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / name).exists() for name in copied)
