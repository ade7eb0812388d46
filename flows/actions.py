"""One flow for each action, for deployments that run a step on its own machine or schedule, for specs of any family."""

from typing import Any

from prefect import flow

from flows.support import run_alone
from tasks.dataset import dataset_task
from tasks.evaluate import evaluate_task
from tasks.export import export_task
from tasks.inference import inference_task
from tasks.promote import promote_task
from tasks.register import register_task
from tasks.select import select_task
from tasks.train import train_task

NAME = "{spec}"
"""Flow runs are named after their spec; the flow's own name is the action."""


@flow(name="dataset", flow_run_name=NAME)
def dataset(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Fetches, extracts and checks the data."""
    return run_alone("dataset", dataset_task, spec, overrides)


@flow(name="train", flow_run_name=NAME)
def train(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Trains; goes on from its own results folder."""
    return run_alone("train", train_task, spec, overrides)


@flow(name="select", flow_run_name=NAME)
def select(spec: str = "params.yaml", overrides: tuple[str, ...] = (), run: str = "") -> dict[str, Any]:
    """Selects a checkpoint; `run` is the training's MLflow run id or results folder, empty for the spec's own."""
    return run_alone("select", select_task, spec, _with("select.run", run, overrides))


@flow(name="evaluate", flow_run_name=NAME)
def evaluate(spec: str = "params.yaml", overrides: tuple[str, ...] = (), parent_run: str = "") -> dict[str, Any]:
    """Evaluates the checkpoint of `parent_run`, an MLflow run id or results folder; empty for the spec's own."""
    return run_alone("evaluate", evaluate_task, spec, _with("evaluate.parent_run", parent_run, overrides))


@flow(name="inference", flow_run_name=NAME)
def inference(spec: str = "params.yaml", overrides: tuple[str, ...] = (), parent_run: str = "") -> dict[str, Any]:
    """Embeds images with the checkpoint of `parent_run`, an MLflow run id or results folder; empty: the spec's own."""
    return run_alone("inference", inference_task, spec, _with("inference.parent_run", parent_run, overrides))


@flow(name="export", flow_run_name=NAME)
def export(spec: str = "params.yaml", overrides: tuple[str, ...] = (), parent_run: str = "") -> dict[str, Any]:
    """Exports the checkpoint of `parent_run`, an MLflow run id or results folder; empty for the spec's own."""
    return run_alone("export", export_task, spec, _with("export.parent_run", parent_run, overrides))


@flow(name="register", flow_run_name=NAME)
def register(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Registers the export as the challenger."""
    return run_alone("register", register_task, spec, overrides)


@flow(name="promote", flow_run_name=NAME)
def promote(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Makes the challenger champion when it is better; fails with the reason when it is not."""
    return run_alone("promote", promote_task, spec, overrides)


def _with(key: str, value: str, overrides: tuple[str, ...]) -> list[str]:
    return [*overrides, *([f"{key}={value}"] if value else [])]
