"""The `select` step: the checkpoint that the next steps use."""

from __future__ import annotations

from prefect import task

from reid.actions.result import ActionResult
from reid.actions.select import select
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.policy import HOUR_S, POLICY


@task(name="select", timeout_seconds=1 * HOUR_S, **POLICY)
def select_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.select` for what it writes and raises."""
    result = select(spec)
    publish(result)
    return result
