"""The whole chain as one flow: dataset, train, select, evaluate, inference, export, register."""

from typing import Any

import yaml
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.graph import record_in_dvc
from flows.support import show_library_logs
from reid.actions.base import tracking_of
from reid.actions.result import ActionResult
from reid.spec.load import dump_spec, load_spec, log_report
from reid.tracking import pipeline_run
from tasks.artifacts import metrics_table, pictures
from tasks.dataset import dataset_task
from tasks.evaluate import evaluate_task
from tasks.export import export_task
from tasks.inference import inference_task
from tasks.register import register_task
from tasks.select import select_task
from tasks.train import train_task

IF_EXISTS = "train.if_exists"
"""Where the spec does not say: a changed spec replaces the training, as `dvc repro` would; a run that died goes on."""


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
    loaded = load_spec("", spec, overrides)
    log_report(loaded.report)
    whole = loaded.spec
    with pipeline_run(tracking_of(whole), name="pipeline", resolved_spec=yaml.safe_load(dump_spec(whole))) as parent:
        given = [*overrides, *([f"mlflow.parent_run={parent.id}"] if parent.id else [])]
        if IF_EXISTS not in loaded.report.normalised:
            given.append(f"{IF_EXISTS}=restart_if_changed")
        results = [
            dataset_task(load_spec("dataset", spec, given).spec),
            train_task(load_spec("train", spec, given).spec),
            select_task(load_spec("select", spec, given).spec),
            evaluate_task(load_spec("evaluate", spec, given).spec),
            inference_task(load_spec("inference", spec, given).spec),
            export_task(load_spec("export", spec, given).spec),
        ]
        if whole.mlflow.enable:
            results.append(register_task(load_spec("register", spec, given).spec))
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
