"""The `dataset` step: archives fetched, extracted and checked; the step that retries matter for."""

from __future__ import annotations

from prefect import task

from reid.actions.dataset import dataset
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.policy import HOUR_S, POLICY


@task(name="dataset", timeout_seconds=12 * HOUR_S, **POLICY)
def dataset_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.dataset` for what it writes and raises."""
    result = dataset(spec)
    publish(result)
    return result
