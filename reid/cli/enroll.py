"""The command `enroll`: classes of references in a gallery file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.cli.output import print_rows
from reid.cli.running import switches

if TYPE_CHECKING:
    from reid.actions.enroll import Enrolled

_FILE = click.Path(path_type=Path)


@click.command(short_help="Add classes of references to a gallery file, without training.")
@click.argument("folders", nargs=-1, type=_FILE, metavar="[FOLDER]...")
@click.option("--gallery", type=_FILE, required=True, help="The .parquet file; made when missing.")
@click.option("--checkpoint", type=_FILE, help="Network of a new file.  [default: the one the file names]")
@click.option("--replace", is_flag=True, help="Classes in the folders lose the references they had.")
@click.option("--remove", multiple=True, metavar="CLASS", help="Take a class out; may be given several times.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print all classes as JSON.")
@switches
def enroll(folders: tuple[Path, ...], as_json: bool, **how: Any) -> None:
    """Embed the references in each FOLDER into a gallery file, under the names of their classes.

    A FOLDER of pictures is one class of that name; any other holds a folder for each class. Without a FOLDER and
    without --remove, the classes of the file are listed.
    """
    from reid.actions.enroll import enroll as add

    result = add(folders, **how)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        _print_classes(result)


def _print_classes(result: Enrolled) -> None:
    total = f"{sum(result.classes.values()):,} references of {len(result.classes):,} classes"
    if result.changes:
        rows = [(name, f"{change:+,}", f"{result.classes.get(name, 0):,}") for name, change in result.changes.items()]
        print_rows("changed classes", rows, ("class", "references", "now"))
    else:
        print_rows("classes", [(name, f"{count:,}") for name, count in result.classes.items()], ("class", "references"))
    click.echo(f"{result.gallery}: {total}.")
