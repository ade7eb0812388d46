"""What is wrong with a spec: one thing each, and all of them as the error that a user sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reid.errors import SpecError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in the three parts of our errors."""

    found: str
    why: str = ""
    fix: str = ""


def error_of(problems: list[Problem], file: Path | None, *, singly: bool) -> SpecError:
    """All problems in one.

    Args:
        singly: the values of single keys are wrong, so that no rule over several keys could be checked.
    """
    rest = "\nRules that look at several keys are checked once each of them is valid." if singly else ""
    if len(problems) == 1:
        (one,) = problems
        return SpecError(one.found, one.why, (one.fix + rest).lstrip())
    lines = [
        f"{number}. " + ": ".join(part for part in (problem.found, problem.why) if part)
        for number, problem in enumerate(problems, 1)
    ]
    fixes = [f"{number}. {problem.fix}" for number, problem in enumerate(problems, 1) if problem.fix]
    return SpecError(
        f"{len(problems)} problems in the spec" + (f" {file}" if file else "") + ":\n" + "\n".join(lines),
        "",
        ("\n".join(fixes) + rest).lstrip(),
    )
