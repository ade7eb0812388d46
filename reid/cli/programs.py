"""The commands that are installed, and whose specs each takes. Imports nothing heavy, as every `--help` reads it."""

from __future__ import annotations

import click

FAMILY_PROGRAMS = ("re_identification", "ml_recog")
"""Commands named after a family of specs, which they take alone; as TAO's are."""

PROGRAMS = ("reid", *FAMILY_PROGRAMS)


def family_of(context: click.Context) -> str:
    """The family of the program that runs; empty for `reid`, which leaves it to the spec."""
    name = context.find_root().info_name or ""
    return name if name in FAMILY_PROGRAMS else ""
