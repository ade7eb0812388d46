"""The flows, run in this process against Prefect's own test server, on a real DVC project and a real MLflow store."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.helpers import Project, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, drawn sample included, as the working directory of this process."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        if not name.startswith("PREFECT"):
            monkeypatch.setenv(name, value)
    project.run("dvc", "repro", "--quiet", "sample")
    return project


def read_artifacts() -> dict[str, Any]:
    """Data of the newest artifact of each key."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/latest/filter", json={"limit": 200}).json()
    return {entry["key"]: entry["data"] for entry in found}


def newest_run(flow: str) -> Any:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])), sort=FlowRunSort.START_TIME_DESC, limit=1
        )[0]


def test_pipeline_leaves_results_artifacts_a_registered_model_and_a_clean_dvc_status(inside: Project) -> None:
    from mlflow import MlflowClient

    from flows.pipeline import pipeline

    summary = pipeline()

    measured = json.loads((inside.folder / "results" / "evaluate" / "metrics.json").read_text())
    assert summary["metrics"]["mAP"] == measured["mAP"]
    assert summary["dvc"] == "committed"
    assert all(Path(path).is_file() for path in summary["files"].values())

    shown = read_artifacts()
    figures = {row["figure"]: row["value"] for row in json.loads(shown["evaluate-figures"])}
    assert figures["cmc_rank_1"] == measured["cmc_rank_1"]
    assert "](data:image/" in shown["evaluate-pictures"]
    assert f"{measured['mAP']:.4f}" in shown["pipeline-summary"]
    assert shown["pipeline-summary"].count("](data:image/") == 3

    client = MlflowClient(f"sqlite:///{inside.folder}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("reid").experiment_id])
    nested = {run.info.run_name for run in runs if run.data.tags.get("mlflow.parentRunId") == summary["run_id"]}
    assert nested == {"dataset", "train", "select", "evaluate", "inference", "export", "register"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert str(client.get_model_version_by_alias("reid", "challenger").version) == "1"

    assert "up to date" in inside.run("dvc", "status")
    assert "Running stage" not in inside.run("dvc", "repro")

    checkpoint_takes_the_parent_run(summary["run_id"])


def checkpoint_takes_the_parent_run(run_id: str) -> None:
    """The hand-over by MLflow run id, on the results that the test above made; a flow of its own per action."""
    from flows.actions import evaluate

    again = evaluate(overrides=("evaluate.results_dir=results/again", "select.results_dir=nowhere"), parent_run=run_id)
    assert again["results_dir"] == os.path.abspath("results/again")  # noqa: PTH100 - as the action writes it
    first = json.loads(Path("results/evaluate/metrics.json").read_text())
    second = json.loads(Path("results/again/metrics.json").read_text())
    assert second["checkpoint_sha256"] == first["checkpoint_sha256"]
    assert second["mAP"] == first["mAP"]


def test_an_edit_of_the_spec_while_the_flow_runs_is_for_the_next_run_and_tracking_off_registers_nothing(
    inside: Project,
) -> None:
    from flows.pipeline import pipeline

    inside.set(mlflow__enable=False)
    with ThreadPoolExecutor(1) as editor:
        edited = editor.submit(_edit_once_there_is, inside.folder / "results" / "dataset" / "index.json", inside)
        summary = pipeline()
        edited.result()

    rows = (inside.folder / "results" / "train" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 2  # the head and the two epochs that the flow was started with
    assert summary["dvc"] == (
        "params.yaml was changed while the flow ran, so these are not the results of what it says now"
    )
    assert not (inside.folder / "dvc.lock").read_text().count("results/train")
    registration = json.loads(Path(summary["files"]["register/registration"]).read_text())
    assert registration == {"registered": False, "reason": "mlflow.enable is false"}


def _edit_once_there_is(file: Path, project: Project) -> None:
    wait_until(file.is_file, what=str(file), log=file)
    project.set(train__num_epochs=1)


def test_a_wrong_key_fails_the_flow_run_with_the_three_parts_and_no_second_attempt(inside: Project) -> None:
    from flows.pipeline import pipeline
    from reid.errors import SpecError

    with pytest.raises(SpecError, match="num_epoch"):
        pipeline(overrides=("train.num_epoch=2",))
    run = newest_run("pipeline")
    assert run.state.type == "FAILED"
    assert "did you mean train.num_epochs" in run.state.message
    assert run.run_count == 1
    assert not (inside.folder / "results").exists()


def test_bad_data_fail_the_dataset_task_at_once(inside: Project) -> None:
    from flows.actions import dataset
    from reid.errors import DataError

    (inside.folder / "empty").mkdir()
    with pytest.raises(DataError):
        dataset(overrides=("dataset.train_dataset_dir=empty",))
    assert newest_run("dataset").state.type == "FAILED"


def test_training_on_two_processes_runs_as_a_command_and_not_as_a_second_flow(inside: Project) -> None:
    from flows.actions import train

    result = train(overrides=("device=cpu", "train.num_gpus=2", "train.num_epochs=1", "mlflow.enable=false"))
    assert result["figures"]["epochs"] == 1
    assert Path(result["files"]["best"]).is_file()
    rows = (inside.folder / "results" / "train" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 2  # the head and one epoch: one process wrote
    assert [newest_run("train").state.type, newest_run("train").run_count] == ["COMPLETED", 1]


def test_a_training_command_that_fails_keeps_its_class_and_words(inside: Project) -> None:
    from reid.errors import DataError
    from reid.spec.load import load_spec
    from tasks.command import run_command

    (inside.folder / "empty").mkdir()
    given = ("device=cpu", "train.num_gpus=2", "dataset.train_dataset_dir=empty", "mlflow.enable=false")
    with pytest.raises(DataError, match="empty"):
        run_command("train", load_spec("train", "params.yaml", given).spec)
