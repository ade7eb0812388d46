"""The `evaluate` step: figures and pictures of the selected checkpoint."""

from __future__ import annotations

from prefect import task

from reid.actions.evaluate import evaluate
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.command import run_or_command
from tasks.policy import GPU_TAG, HOUR_S, POLICY


@task(name="evaluate", tags=[GPU_TAG], timeout_seconds=12 * HOUR_S, **POLICY)
def evaluate_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.evaluate` for what it writes and raises."""
    result = run_or_command("evaluate", evaluate, spec)
    publish(result)
    return result
