"""The commands around the spec and the program: check, schema, default_specs, completion, version."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reid import __version__
from reid.cli.actions import ACTIONS
from reid.cli.arguments import require_settings, spec_input
from reid.cli.completion import script
from reid.cli.output import print_loaded_spec, print_result
from reid.cli.programs import FAMILY_PROGRAMS, family_of
from reid.cli.running import switches
from reid.errors import SpecError


@click.command("default_specs", short_help="Write a commented spec template for each action.")
@spec_input
@switches
@click.pass_context
def default_specs(context: click.Context, file: Path | None, overrides: tuple[str, ...]) -> None:
    """Write a commented template for each action: default_specs results_dir=DIR."""
    from reid.actions.result import ActionResult
    from reid.spec.load import load_spec, log_report
    from reid.spec.templates import default_specs as write

    require_settings(overrides, context.command_path)
    loaded = load_spec("default_specs", file, overrides, family_of(context))
    log_report(loaded.report)
    folder = loaded.spec.results_dir
    if not folder:
        raise SpecError(
            "default_specs has no folder to write to: results_dir is not set",
            "one template for each action is written there",
            "add results_dir=DIR to the command, or set it in the file given to -e",
        )
    files = write(Path(folder), loaded.spec.family)
    print_result(ActionResult("default_specs", Path(folder), files=files), as_json=False)


@click.group()
def spec() -> None:
    """Look at a spec without running anything."""


@spec.command()
@spec_input
@click.option("--action", type=click.Choice(list(ACTIONS)), default=None, help="Leave out checks of other actions.")
@click.option("--json", "as_json", is_flag=True, help="Print the spec and the report as JSON.")
@switches
def check(file: Path | None, overrides: tuple[str, ...], action: str | None, as_json: bool) -> None:
    """Print the resolved spec and what was renamed or has no effect; exit code 2 when it is not valid."""
    from reid.spec.load import load_spec

    require_settings(overrides, "spec check")
    print_loaded_spec(load_spec(action or "", file, overrides), as_json=as_json)


@click.command(short_help="Write the schemas, templates and key table of the spec.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for schemas/ and references/.  [default: .]")
@click.option(
    "--docs", type=click.Path(path_type=Path), help="Write only the table of all keys, to this Markdown file."
)
@click.option(
    "--family", type=click.Choice(FAMILY_PROGRAMS), default=FAMILY_PROGRAMS[0], show_default=True, help="Whose spec."
)
@switches
def schema(out: Path | None, docs: Path | None, family: str) -> None:
    """Write the spec's schemas, manifest and templates, and a JSON Schema for editors."""
    from reid.actions.result import ActionResult
    from reid.files import write_text
    from reid.spec.reference import reference_page
    from reid.spec.schema import write_schemas

    files: dict[str, Path] = {}
    if docs is not None:
        write_text(docs, reference_page(family))
        files[docs.name] = docs
    if out is not None or docs is None:
        files |= {file.name: file for file in write_schemas(out or Path(), family)}
    print_result(ActionResult("schema", out or Path(), files=files), as_json=False)


@click.command(short_help="Print a script that switches on shell completion.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and spec keys, e.g. eval "$(reid completion bash)"."""
    group = context.find_root().command
    assert isinstance(group, click.Group)
    click.echo(script(shell, group))


@click.command()
def version() -> None:
    """Print the versions that matter in a bug report."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    click.echo(f"reid {__version__}, Python {sys.version.split()[0]}")
    for package in ("torch", "timm", "pytorch-lightning", "onnxruntime", "mlflow", "prefect", "dvc"):
        try:
            click.echo(f"{package} {installed(package)}")
        except PackageNotFoundError:
            click.echo(f"{package} is not installed")
