"""The command that draws the embedded sample of a family."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from reid.cli.output import print_result
from reid.cli.programs import FAMILY_PROGRAMS
from reid.cli.running import switches


@click.command(short_help="Draw the embedded sample data set.")
@click.option(
    "--family",
    type=click.Choice(FAMILY_PROGRAMS),
    default=FAMILY_PROGRAMS[0],
    show_default=True,
    help="People seen by cameras, or products in class folders.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Folder to write."
)
@click.option("--identities", type=click.IntRange(min=4), default=96, show_default=True, help="People drawn.")
@click.option("--cameras", type=click.IntRange(min=2), default=4, show_default=True, help="Cameras that see them.")
@click.option(
    "--images-per-camera",
    type=click.IntRange(min=2),
    default=4,
    show_default=True,
    help="Images of each person by each camera.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes that draw people.  [default: one a core]")
@click.option(
    "--classes", type=click.IntRange(min=2), default=16, show_default=True, help="ml_recog: products to train on."
)
@click.option(
    "--unknown-classes",
    type=click.IntRange(min=2),
    default=8,
    show_default=True,
    help="ml_recog: products that no training sees.",
)
@click.option(
    "--images-per-class",
    type=click.IntRange(min=2),
    default=20,
    show_default=True,
    help="ml_recog: training images of each product.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed draws the same images."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@switches
@click.pass_context
def sample(context: click.Context, /, family: str, out: Path, as_json: bool, **how: Any) -> None:
    """Draw the embedded sample: archives of people in Market-1501 naming, or of products in class folders."""
    from reid.actions.sample import SAMPLES

    draw = SAMPLES[family]
    taken = inspect.signature(draw).parameters
    for name in how:
        if name not in taken and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"the sample of {family} has no --{name.replace('_', '-')}")
    print_result(draw(out=out, **{name: value for name, value in how.items() if name in taken}), as_json=as_json)
