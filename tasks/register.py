"""The `register` step: the export as a version in MLflow's registry."""

from __future__ import annotations

from prefect import task

from reid.actions.register import register
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.policy import HOUR_S, POLICY


@task(name="register", timeout_seconds=1 * HOUR_S, **POLICY)
def register_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.register` for what it writes and raises."""
    result = register(spec)
    publish(result)
    return result
