"""What the flows do around their tasks: show the library's log lines, and load the spec."""

import logging
from collections.abc import Sequence

from reid.spec.experiment import ExperimentSpec
from reid.spec.load import load_spec, log_report


def show_library_logs() -> None:
    """Lets `reid`'s INFO lines pass; PREFECT_LOGGING_EXTRA_LOGGERS=reid brings them to the run's page."""
    logging.getLogger("reid").setLevel(logging.INFO)


def spec_for(action: str, file: str, overrides: Sequence[str]) -> ExperimentSpec:
    """The spec of an action that runs alone; what was renamed or has no effect goes to the log.

    Raises:
        SpecError: the file or an override is wrong.
    """
    loaded = load_spec(action, file, overrides)
    log_report(loaded.report)
    return loaded.spec
