"""The `promote` step: the challenger as champion, when it is better."""

from __future__ import annotations

from prefect import task

from reid.actions.promote import promote
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.policy import HOUR_S, POLICY


@task(name="promote", timeout_seconds=1 * HOUR_S, **POLICY)
def promote_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.promote` for what it writes and raises."""
    result = promote(spec)
    publish(result)
    return result
