"""The file graph on a fresh clone: everything once, nothing twice, and after a change only what depends on it."""

from __future__ import annotations

import csv
import json
import re

import pytest

from tests.orchestration.helpers import Project

pytestmark = pytest.mark.slow

BEFORE_REGISTER = ["dataset", "evaluate", "export", "inference", "sample", "select", "train"]


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def epochs_in(project: Project) -> int:
    with (project.folder / "results" / "train" / "metrics.csv").open() as file:
        return len(list(csv.DictReader(file)))


def test_repro_runs_all_then_nothing_then_what_a_change_concerns(project: Project) -> None:
    project.set(mlflow__enable=False)
    ran = stages_run(project.run("dvc", "repro", "inference", "evaluate", "export"))
    assert sorted(ran) == BEFORE_REGISTER
    assert epochs_in(project) == 2
    project.set(mlflow__enable=True)
    assert stages_run(project.run("dvc", "repro")) == ["register"]  # no other stage depends on keys of mlflow
    assert stages_run(project.run("dvc", "repro")) == []
    assert "up to date" in project.run("dvc", "status")

    first = json.loads((project.folder / "results" / "evaluate" / "metrics.json").read_text())
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    assert shown[""]["data"]["results/evaluate/metrics.json"]["data"]["mAP"] == first["mAP"]
    project.run("dvc", "plots", "show", "--out", "plots")
    page = (project.folder / "plots" / "index.html").read_text()
    assert all(name in page for name in ("matching_rate", "cmc_curve.png", "sampled_matches.png", "cmc_rank_1"))

    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Results")
    untracked = ("--set-param", "mlflow.enable=false")
    changed = project.run("dvc", "exp", "run", "--set-param", "train.num_epochs=1", *untracked, "evaluate")
    assert stages_run(changed) == ["train", "select", "evaluate"]
    assert epochs_in(project) == 1  # fewer epochs begin anew: nothing of the longer training is left
    assert json.loads((project.folder / "results" / "select" / "selection.json").read_text())["epoch"] == 0
    compared = json.loads(project.run("dvc", "params", "diff", "--json"))
    assert compared["params.yaml"]["train.num_epochs"] == {"old": 2, "new": 1, "diff": -1}
    assert "num_epochs" in project.run("dvc", "exp", "show", "--csv")
