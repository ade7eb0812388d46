"""The `export` step: the network as checked ONNX; always on the CPU, so that it waits for no GPU."""

from __future__ import annotations

from prefect import task

from reid.actions.export import export
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from tasks.artifacts import publish
from tasks.policy import HOUR_S, POLICY


@task(name="export", timeout_seconds=2 * HOUR_S, **POLICY)
def export_task(spec: ExperimentSpec) -> ActionResult:
    """Runs the action; see `reid.actions.export` for what it writes and raises."""
    result = export(spec)
    publish(result)
    return result
