"""Recognition as a pipeline: the flow on its own DVC graph, a real Prefect server and MLflow store, and promotion."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.orchestration.helpers import Project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]  # a minute, most of it MLflow's and DVC's

SPEC = "infra/ml_recog/params.yaml"
FEW = "--classes 4 --unknown-classes 2 --images-per-class 4"


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the recognition graph, its sample drawn, in a project that is the working directory."""
    folder = project.folder / "infra" / "ml_recog"
    graph = folder / "dvc.yaml"
    graph.write_text(graph.read_text().replace("--family ml_recog", f"--family ml_recog {FEW}", 1))
    spec = yaml.safe_load((folder / "params.yaml").read_text())
    spec["model"] |= {"input_height": 32, "input_width": 32, "feat_dim": 8}
    spec["dataset"] |= {"num_instance": 2}
    spec["train"] |= {"num_epochs": 1, "batch_size": 8, "validation_interval": 1, "checkpoint_interval": 1}
    spec["export"]["verify_images"] = 4
    (folder / "params.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        if not name.startswith("PREFECT"):
            monkeypatch.setenv(name, value)
    project.run("dvc", "--cd", str(folder), "repro", "--quiet", "sample")
    return folder


def test_the_flow_leaves_answers_a_champion_that_embeds_alike_and_both_dvc_graphs_to_themselves(
    inside: Path, project: Project
) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow import MlflowClient

    from flows.actions import promote
    from flows.pipeline import pipeline

    summary = pipeline(SPEC)

    assert Path.cwd() == project.folder
    assert summary["dvc"] == "committed"
    assert summary["results_dir"] == str(inside / "results")
    here = ("dvc", "--cd", str(inside))
    assert "up to date" in project.run(*here, "status")
    assert "Running stage" not in project.run(*here, "repro")
    assert "infra" not in project.run("dvc", "status")  # the other graph knows nothing of this one

    measured = json.loads((inside / "results" / "evaluate" / "metrics.json").read_text())
    assert (measured["queries"], measured["gallery"]) == (2 * 8, 2 * 4)  # the unknown classes
    answers = list(csv.reader((inside / "results" / "inference" / "result.csv").open()))
    assert len(answers) == 4 * 8  # the known ones
    first = json.loads((inside / "results" / "train" / "status.json").read_text().splitlines()[0])
    assert first["message"] == "Starting Metric Learning Recognition train."

    store = f"sqlite:///{inside}/mlflow.db"
    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("ml_recog").experiment_id])
    nested = {run.info.run_name for run in runs if run.data.tags.get("mlflow.parentRunId") == summary["run_id"]}
    assert nested == {"dataset", "train", "select", "evaluate", "inference", "export", "register"}
    precision = measured["test Precision at Rank 1"]
    assert next(run for run in runs if run.info.run_id == summary["run_id"]).data.metrics[
        "test Precision at Rank 1"
    ] == pytest.approx(precision)

    promoted = promote(SPEC)
    assert promoted["figures"]["test Precision at Rank 1"] == precision
    champion = client.get_model_version_by_alias("ml_recog", "champion")
    assert float(champion.tags["metric.test r-Precision"]) == measured["test r-Precision"]

    mlflow.set_tracking_uri(store)
    served = mlflow.pyfunc.load_model("models:/ml_recog@champion")
    embedded = pd.read_parquet(inside / "results" / "inference" / "embeddings.parquet")
    rows = embedded[embedded["subset"] == "query"].head(3)
    found = served.predict(list(rows["img_path"]))
    np.testing.assert_allclose(found, np.stack(rows["embedding"]), atol=1e-4)
    assert "Metric Learning Recognition" in client.get_registered_model("ml_recog").description
