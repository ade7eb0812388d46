"""What the flows do around their tasks: show the library's log lines, load the spec, and run one action."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from flows.graph import in_folder_of_graph
from reid.actions.result import ActionResult
from reid.spec.experiment import ExperimentSpec
from reid.spec.load import load_spec, log_report


def show_library_logs() -> None:
    """Lets `reid`'s INFO lines pass; PREFECT_LOGGING_EXTRA_LOGGERS=reid brings them to the run's page."""
    logging.getLogger("reid").setLevel(logging.INFO)


def run_alone(
    action: str, task: Callable[[ExperimentSpec], ActionResult], spec: str, overrides: Sequence[str]
) -> dict[str, Any]:
    """One action by itself, of whatever family its spec is, in the folder of the spec's DVC graph.

    Raises:
        SpecError: the file or an override is wrong.
    """
    show_library_logs()
    with in_folder_of_graph(spec) as file:
        return task(_spec_for(action, file, overrides)).to_dict()


def _spec_for(action: str, file: str, overrides: Sequence[str]) -> ExperimentSpec:
    """The spec of an action that runs alone; what was renamed or has no effect goes to the log."""
    loaded = load_spec(action, file, overrides)
    log_report(loaded.report)
    return loaded.spec
