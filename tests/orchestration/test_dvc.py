"""The file graph on a fresh clone: everything once, nothing twice, and after a change only what depends on it."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.helpers import BIN, SAMPLE, Project

pytestmark = pytest.mark.slow

STAGES = ["dataset", "evaluate", "export", "inference", "register", "sample", "select", "train"]


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def epochs_in(project: Project) -> int:
    with (project.folder / "results" / "train" / "metrics.csv").open() as file:
        return len(list(csv.DictReader(file)))


def registration(project: Project) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((project.folder / "results" / "register" / "registration.json").read_text())
    return read


def test_repro_runs_all_also_with_tracking_off_then_nothing_then_what_a_change_concerns(project: Project) -> None:
    project.set(mlflow__enable=False)
    assert sorted(stages_run(project.run("dvc", "repro"))) == STAGES
    assert epochs_in(project) == 2
    assert registration(project) == {"registered": False, "reason": "mlflow.enable is false"}
    project.set(mlflow__enable=True)
    assert stages_run(project.run("dvc", "repro")) == ["register"]  # no other stage depends on keys of mlflow
    assert registration(project)["registered"] is True
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
    changed = project.run("dvc", "exp", "run", "-S", "train.num_epochs=1", "-S", "mlflow.enable=false", "evaluate")
    assert stages_run(changed) == ["train", "select", "evaluate"]
    assert epochs_in(project) == 1  # fewer epochs begin anew: nothing of the longer training is left
    assert json.loads((project.folder / "results" / "select" / "selection.json").read_text())["epoch"] == 0
    compared = json.loads(project.run("dvc", "params", "diff", "--json"))
    assert compared["params.yaml"]["train.num_epochs"] == {"old": 2, "new": 1, "diff": -1}
    assert "num_epochs" in project.run("dvc", "exp", "show", "--csv")


def test_repro_finds_the_checkouts_environment_without_activation(project: Project) -> None:
    (project.folder / ".venv").symlink_to(BIN.parent, target_is_directory=True)
    elsewhere = [place for place in os.environ["PATH"].split(os.pathsep) if not (Path(place) / "reid").exists()]
    project.set(mlflow__enable=False)
    ran = project.run(".venv/bin/dvc", "repro", "dataset", PATH=os.pathsep.join(elsewhere))
    assert stages_run(ran) == ["sample", "dataset"]
    # Without a .venv in the checkout, `reid` is that of the active environment.
    (project.folder / ".venv").unlink()
    assert stages_run(project.run("dvc", "repro", "--force", "dataset")) == ["sample", "dataset"]


def test_an_archive_under_data_can_be_added_to_dvc_and_its_pointer_to_git(project: Project) -> None:
    project.run("reid", "sample", *SAMPLE, "--out", "data/mine")
    project.run("dvc", "add", "data/mine/sample_train.tar.gz")
    untracked = project.run("git", "status", "--porcelain", "--untracked-files=all").split()[1::2]
    assert untracked == ["data/mine/sample_train.tar.gz.dvc"]  # no archive, added or not
