"""The command lines: `reid`, and `re_identification` with TAO's verbs. They parse, call one action, and print."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `reid`; gives the exit code: 0, 2 for a bad spec or bad data, 130 for Ctrl-C, 1 for all else."""
    from reid.cli.app import reid_group
    from reid.cli.running import run_group

    return run_group(reid_group(), "reid", arguments)


def re_identification_main(arguments: Sequence[str] | None = None) -> int:
    """Runs `re_identification`, TAO's name of the command with the verbs that take a spec; exit codes as `main`."""
    from reid.cli.app import re_identification_group
    from reid.cli.running import run_group

    return run_group(re_identification_group(), "re_identification", arguments)
