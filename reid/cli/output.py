"""Prints results: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from reid.actions.result import ActionResult
    from reid.data.dataset_report import DatasetReport
    from reid.spec.load import LoadedSpec, SpecReport


def print_result(result: ActionResult, *, as_json: bool) -> None:
    """Figures, then files."""
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
        return
    console = _console()
    if result.figures:
        _print_table(console, result.action, [(name, _figure(value)) for name, value in result.figures.items()])
    rows = [(name, str(path)) for name, path in result.files.items()] or [("results", str(result.results_dir))]
    if result.run_id:
        rows.append(("MLflow run", result.run_id))
    _print_table(console, "files", rows)


def print_report(report: DatasetReport, *, as_json: bool) -> None:
    """A table with a column for each subset, and one for what shows only across them."""
    blocks = report.to_dict()
    if as_json:
        click.echo(json.dumps(blocks, indent=2))
        return
    console = _console()
    for name, block in blocks.items():
        if block:
            _print_block(console, name, block)
    sys.stdout.flush()  # an error that follows goes to stderr, and must not stand before the table


def print_loaded_spec(loaded: LoadedSpec, *, as_json: bool) -> None:
    """The resolved spec on stdout, and after it the report, as YAML comments so that the whole is still a spec."""
    from reid.spec.load import dump_spec, flatten_spec

    report = loaded.report
    if as_json:
        document = {
            "spec": flatten_spec(loaded.spec),
            "given": report.given,
            "normalised": report.normalised,
            "aliases": [{"given": one.given, "used": one.used, "place": one.place} for one in report.aliases],
            "no_effect": report.no_effect,
            "warnings": list(report.warnings),
            "notes": list(report.notes),
        }
        click.echo(json.dumps(document, indent=2, default=str))
        return
    click.echo(dump_spec(loaded.spec), nl=False)
    click.echo("\n".join(["", *(f"# {line}" for line in _report_lines(report))]))


def _report_lines(report: SpecReport) -> list[str]:
    lines = [f"Valid: {report.file or 'the defaults'}, {len(report.normalised)} keys set"]
    lines += [f"Read as {alias.used}: {alias.given} ({alias.place})" for alias in report.aliases]
    lines += [f"Warning: {warning}" for warning in report.warnings]
    by_reason: dict[str, list[str]] = {}
    for path, reason in report.no_effect.items():
        by_reason.setdefault(reason, []).append(path)
    lines += [f"No effect: {', '.join(paths)}: {reason}" for reason, paths in by_reason.items()]
    return [*lines, *(f"Note: {note}" for note in report.notes)]


def _print_block(console: Console, title: str, block: dict[str, Any]) -> None:
    """A mapping of mappings becomes a table with a column for each outer name; a plain one has two columns."""
    inner = [value for value in block.values() if isinstance(value, dict)]
    if len(inner) < len(block) or not all("name" in value for value in inner):
        _print_table(console, title, [(name, _figure(value)) for name, value in block.items()])
        return
    facts = dict.fromkeys(fact for value in inner for fact in value if fact != "name")
    rows = [(fact, *(_figure(value.get(fact)) for value in inner)) for fact in facts]
    _print_table(console, title, rows, header=("", *block))


def _print_table(
    console: Console, title: str, rows: Sequence[tuple[str, ...]], header: tuple[str, ...] | None = None
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=header is not None)
    for index in range(len(rows[0])):
        table.add_column(
            header[index] if header else "", overflow="fold", justify="right" if header and index else "left"
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _figure(value: Any) -> str:
    """A value in few characters: fractions with four digits, long lists by their first three, hashes by their start."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"
    if isinstance(value, list):
        first = ", ".join(str(item) for item in value[:3])
        return f"{first} ... ({len(value):,} in all)" if len(value) > 3 else first or "none"
    if isinstance(value, dict) and value.keys() == {"count", "first"}:
        return f"{value['count']:,}" + (f": {_figure(value['first'])}" if value["first"] else "")
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(item)}" for name, item in value.items()) or "none"
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text  # a SHA-256


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # paths must not be wrapped in logs and pipes
    return console
