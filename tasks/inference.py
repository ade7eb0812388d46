"""The `inference` step: an embedding for every image."""

from __future__ import annotations

from prefect import task

from reid.actions.inference import inference
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.command import run_or_command
from tasks.policy import GPU_TAG, HOUR_S, POLICY


@task(name="inference", tags=[GPU_TAG], timeout_seconds=12 * HOUR_S, **POLICY)
def inference_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.inference` for what it writes and raises."""
    result = run_or_command("inference", inference, spec)
    publish(result)
    return result
