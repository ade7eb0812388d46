"""The `train` step: in this process for one device, as a command of its own for several."""

from __future__ import annotations

from prefect import task

from reid.actions.result import ActionResult
from reid.actions.train import train
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.command import run_or_command
from tasks.policy import GPU_TAG, HOUR_S, POLICY


@task(
    name="train",
    task_run_name="train {spec.model.backbone} for {spec.train.num_epochs} epochs",
    tags=[GPU_TAG],
    timeout_seconds=14 * 24 * HOUR_S,
    **POLICY,
)
def train_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.train` for what it writes and raises."""
    result = run_or_command("train", train, spec)
    publish(result)
    return result
