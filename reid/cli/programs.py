"""The commands that are installed, and whose specs each takes. Imports nothing heavy, as every `--help` reads it."""

from __future__ import annotations

import click

FAMILY_TITLES = {"re_identification": "Person re-identification", "ml_recog": "Metric-learning recognition"}
"""Commands named after a family of specs, which they take alone, as TAO's are; and what each is for.

A test holds them against the spec's own list, which takes pydantic to read.
"""

FAMILY_PROGRAMS = tuple(FAMILY_TITLES)

PROGRAMS = ("reid", *FAMILY_PROGRAMS)


def family_of(context: click.Context) -> str:
    """The family of the program that runs; empty for `reid`, which leaves it to the spec."""
    name = context.find_root().info_name or ""
    return name if name in FAMILY_PROGRAMS else ""
