"""The whole chain as one flow: dataset, train, select, evaluate, inference, export, register."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.graph import content_of, in_folder_of_graph, record_in_dvc
from flows.support import show_library_logs
from reid.actions.base import tracking_of
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
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
        spec: experiment spec of any family, relative to the working directory. Where a dvc.yaml lies beside it, the
            places in it are relative to that folder, as they are for `dvc repro` there.
        overrides: `key=value` settings that win over the file.

    Returns:
        Plain values: `results_dir`, `metrics` of the evaluation, `files` to look at, `run_id` of the MLflow parent,
        `dvc` ("committed", or why not).
    """
    show_library_logs()
    with in_folder_of_graph(spec) as file:
        return _chain(file, overrides)


def _chain(spec: str, overrides: Sequence[str]) -> dict[str, Any]:
    content = content_of(spec)
    loaded = load_spec("", spec, overrides)  # once: who edits the file meanwhile changes the next run, not this one
    log_report(loaded.report)
    given = loaded.spec
    with pipeline_run(tracking_of(given), name="pipeline", resolved_spec=yaml.safe_load(dump_spec(given))) as parent:
        whole = _with_parent(given, parent.id)
        if IF_EXISTS not in loaded.report.normalised:
            whole = _replacing_a_changed_training(whole)
        results = [
            dataset_task(whole),
            train_task(whole),
            select_task(whole),
            evaluate_task(whole),
            inference_task(whole),
            export_task(whole),
            register_task(whole),
        ]
        parent.log_metrics(_evaluated(results))
    summary = _summary(whole.results_dir, results, parent.id, record_in_dvc(spec, overrides, content))
    _publish(summary, results)
    return summary


def _evaluated(results: list[ActionResult]) -> dict[str, float]:
    """The figures of the evaluation; on the parent run they let pipelines be compared at a glance."""
    evaluation = next(result for result in results if result.action == "evaluate")
    return {name: value for name, value in evaluation.figures.items() if isinstance(value, float)}


def _with_parent(spec: ExperimentSpec, run_id: str | None) -> ExperimentSpec:
    """The spec of which each action's MLflow run is nested under a parent; the same one when tracking is off."""
    if not run_id:
        return spec
    return spec.model_copy(update={"mlflow": spec.mlflow.model_copy(update={"parent_run": run_id})})


def _replacing_a_changed_training(spec: ExperimentSpec) -> ExperimentSpec:
    return spec.model_copy(update={"train": spec.train.model_copy(update={"if_exists": "restart_if_changed"})})


def _summary(results_dir: str, results: list[ActionResult], run_id: str | None, dvc: str) -> dict[str, Any]:
    evaluation = next(result for result in results if result.action == "evaluate")
    return {
        "results_dir": str(Path(results_dir).absolute()) if results_dir else "",
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
