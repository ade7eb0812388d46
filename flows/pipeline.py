"""The whole chain as one flow: dataset, train, select, evaluate, inference, export, register."""

from typing import Any

import yaml
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.graph import record_in_dvc
from flows.support import show_library_logs, spec_for
from reid.actions.base import tracking_of
from reid.actions.result import ActionResult
from reid.spec.load import dump_spec
from reid.tracking import pipeline_run
from tasks.artifacts import metrics_table, pictures
from tasks.dataset import dataset_task
from tasks.evaluate import evaluate_task
from tasks.export import export_task
from tasks.inference import inference_task
from tasks.register import register_task
from tasks.select import select_task
from tasks.train import train_task

RESTART = "train.if_exists=restart_if_changed"
"""A changed spec replaces the training, as `dvc repro` would; a run that died goes on where it was."""


@flow(name="pipeline", flow_run_name="pipeline of {spec}")
def pipeline(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Runs every action on one spec, under one MLflow run when tracking is on, and ends with `dvc commit`.

    Args:
        spec: experiment spec, relative to the working directory.
        overrides: `key=value` settings that win over the file.

    Returns:
        Plain values: `results_dir`, `metrics` of the evaluation, `files` to look at, `run_id` of the MLflow parent,
        `dvc` ("committed", or why not).
    """
    show_library_logs()
    whole = spec_for("", spec, overrides, quiet=False)
    with pipeline_run(tracking_of(whole), name="pipeline", resolved_spec=yaml.safe_load(dump_spec(whole))) as parent:
        given = [RESTART, *overrides, *([f"mlflow.parent_run={parent.id}"] if parent.id else [])]
        results = [
            dataset_task(spec_for("dataset", spec, given)),
            train_task(spec_for("train", spec, given)),
            select_task(spec_for("select", spec, given)),
            evaluate_task(spec_for("evaluate", spec, given)),
            inference_task(spec_for("inference", spec, given)),
            export_task(spec_for("export", spec, given)),
        ]
        if whole.mlflow.enable:
            results.append(register_task(spec_for("register", spec, given)))
    summary = _summary(whole.results_dir, results, parent.id, record_in_dvc(spec, overrides))
    _publish(summary, results)
    return summary


def _summary(results_dir: str, results: list[ActionResult], run_id: str | None, dvc: str) -> dict[str, Any]:
    evaluation = next(result for result in results if result.action == "evaluate")
    return {
        "results_dir": results_dir,
        "metrics": dict(evaluation.figures),
        "files": {f"{result.action}/{name}": str(path) for result in results for name, path in result.files.items()},
        "run_id": run_id,
        "dvc": dvc,
    }


def _publish(summary: dict[str, Any], results: list[ActionResult]) -> None:
    lines = [
        metrics_table(summary["metrics"]),
        f"Results: `{summary['results_dir']}`. MLflow run: `{summary['run_id']}`. DVC: {summary['dvc']}.",
        pictures(results),
    ]
    create_markdown_artifact(key="pipeline-summary", markdown="\n\n".join(lines), description="Metrics and pictures")
