"""The command lines: `reid`, and TAO's `re_identification` and `ml_recog`. They parse, call one action, and print."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `reid`; gives the exit code: 0, or that of `reid.errors`; 130 for Ctrl-C."""
    from reid.cli.app import reid_group
    from reid.cli.running import run_group

    return run_group(reid_group(), "reid", arguments)


def re_identification_main(arguments: Sequence[str] | None = None) -> int:
    """Runs `re_identification`, TAO's name of the command with the verbs that take a spec; exit codes as `main`."""
    return _run_family("re_identification", arguments)


def ml_recog_main(arguments: Sequence[str] | None = None) -> int:
    """Runs `ml_recog`, TAO's name of the same command for metric-learning recognition; exit codes as `main`."""
    return _run_family("ml_recog", arguments)


def _run_family(program: str, arguments: Sequence[str] | None) -> int:
    from reid.cli.app import family_group
    from reid.cli.running import run_group

    return run_group(family_group(program), program, arguments)
