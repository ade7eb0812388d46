"""Prints results: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from reid.actions.result import ActionResult
    from reid.data.dataset_report import DatasetReport
    from reid.spec.load import LoadedSpec, SpecReport


_FRACTIONS = re.compile(r"cmc_rank_|mAP|mINP|(\w+ )?(Precision at Rank 1|Mean Average Precision|r-Precision)$")
"""How the names of figures begin that are fractions in files and per cent on a screen; TAO's of ml_recog are whole."""


def print_result(result: ActionResult, *, as_json: bool) -> None:
    """Figures, then files."""
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
        return
    if result.intervals:
        print_rows(result.action, _rows_with_intervals(result), ("figure", "value", "95 % interval"))
    elif result.figures:
        print_rows(result.action, [(name, _figure(name, value)) for name, value in result.figures.items()])
    rows = [(name, str(path)) for name, path in result.files.items()] or [("results", str(result.results_dir))]
    if result.run_id:
        rows.append(("MLflow run", result.run_id))
    print_rows("files", rows)


def print_report(report: DatasetReport, *, as_json: bool) -> None:
    """What a check of data found: counts by subset in a table, then what shows only across them, then names."""
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
        return
    from reid.cli.dataset_table import across_rows, across_title, header, notes, subset_rows

    print_rows("images", subset_rows(report), header(report))
    if across := across_rows(report):
        print_rows(across_title(report), across)
    for line in notes(report):
        click.echo(line)
    sys.stdout.flush()  # an error that follows goes to stderr, and must not stand before the table


def print_rows(title: str, rows: Sequence[tuple[str, ...]], header: tuple[str, ...] | None = None) -> None:
    """A table on stdout: the first column left, further ones right when they have a header. Nothing is cut off."""
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
    _console().print(table)


def print_loaded_spec(loaded: LoadedSpec, *, as_json: bool) -> None:
    """The resolved spec on stdout, and after it the report, as YAML comments so that the whole is still a spec."""
    from reid.spec.load import dump_spec, flatten_spec, without_passphrase

    report = loaded.report
    if as_json:
        document = {
            "spec": flatten_spec(loaded.spec),
            "given": without_passphrase(report.given),
            "normalised": without_passphrase(report.normalised),
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


def _rows_with_intervals(result: ActionResult) -> list[tuple[str, str, str]]:
    between = {
        name: " to ".join(_figure(name, end) for end in ends).replace(" % to", " to")
        for name, ends in result.intervals.items()
    }
    return [(name, _figure(name, value), between.get(name, "")) for name, value in result.figures.items()]


def _figure(name: str, value: float | int | str) -> str:
    """Retrieval figures in per cent, as in the log; other fractions with four digits; thousands set apart."""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if _FRACTIONS.match(name):
        return f"{100 * value:.1f} %"
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # paths must not be wrapped in logs and pipes
    return console
