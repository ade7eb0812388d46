"""One flow for each action, for deployments that run a step on its own machine or schedule."""

from typing import Any

from prefect import flow

from flows.support import show_library_logs, spec_for
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
    show_library_logs()
    return dataset_task(spec_for("dataset", spec, overrides)).to_dict()


@flow(name="train", flow_run_name=NAME)
def train(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Trains; goes on from its own results folder."""
    show_library_logs()
    return train_task(spec_for("train", spec, overrides)).to_dict()


@flow(name="select", flow_run_name=NAME)
def select(spec: str = "params.yaml", overrides: tuple[str, ...] = (), run: str = "") -> dict[str, Any]:
    """Selects a checkpoint; `run` is the training's MLflow run id or results folder, empty for the spec's own."""
    show_library_logs()
    return select_task(spec_for("select", spec, _with("select.run", run, overrides))).to_dict()


@flow(name="evaluate", flow_run_name=NAME)
def evaluate(spec: str = "params.yaml", overrides: tuple[str, ...] = (), parent_run: str = "") -> dict[str, Any]:
    """Evaluates the checkpoint of `parent_run`, an MLflow run id or results folder; empty for the spec's own."""
    show_library_logs()
    given = _with("evaluate.parent_run", parent_run, overrides)
    return evaluate_task(spec_for("evaluate", spec, given)).to_dict()


@flow(name="inference", flow_run_name=NAME)
def inference(spec: str = "params.yaml", overrides: tuple[str, ...] = (), parent_run: str = "") -> dict[str, Any]:
    """Embeds images with the checkpoint of `parent_run`, an MLflow run id or results folder; empty: the spec's own."""
    show_library_logs()
    given = _with("inference.parent_run", parent_run, overrides)
    return inference_task(spec_for("inference", spec, given)).to_dict()


@flow(name="export", flow_run_name=NAME)
def export(spec: str = "params.yaml", overrides: tuple[str, ...] = (), parent_run: str = "") -> dict[str, Any]:
    """Exports the checkpoint of `parent_run`, an MLflow run id or results folder; empty for the spec's own."""
    show_library_logs()
    given = _with("export.parent_run", parent_run, overrides)
    return export_task(spec_for("export", spec, given)).to_dict()


@flow(name="register", flow_run_name=NAME)
def register(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Registers the export as the challenger."""
    show_library_logs()
    return register_task(spec_for("register", spec, overrides)).to_dict()


@flow(name="promote", flow_run_name=NAME)
def promote(spec: str = "params.yaml", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Makes the challenger champion when it is better; fails with the reason when it is not."""
    show_library_logs()
    return promote_task(spec_for("promote", spec, overrides)).to_dict()


def _with(key: str, value: str, overrides: tuple[str, ...]) -> list[str]:
    return [*overrides, *([f"{key}={value}"] if value else [])]
