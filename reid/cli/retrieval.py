"""The commands around embeddings and results: `search` a gallery, `compare` two evaluations."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.cli.arguments import spec_input
from reid.cli.output import print_rows
from reid.cli.running import switches

if TYPE_CHECKING:
    from reid.actions.compare import ComparisonResult
    from reid.actions.search import SearchResult
    from reid.retrieval.answers import Neighbour
    from reid.retrieval.comparison import QueryChange
    from reid.retrieval.intervals import PairedDifference

_FILE = click.Path(path_type=Path)
_SHOWN_CHANGES = 10


_SEARCHES = """\b
Example:
  reid search photo.jpg --gallery results/inference/embeddings.parquet --top-k 5
  reid search row:0 --gallery results/inference/embeddings.parquet --out results/found
"""
_COMPARES = """\b
Example:
  reid compare results/reranked results --out results/compared
"""


@click.command(short_help="Find the gallery images nearest to some pictures.", epilog=_SEARCHES)
@click.argument("queries", nargs=-1, required=True, metavar="QUERY...")
@click.option("--gallery", type=_FILE, required=True, help="embeddings.parquet of `inference`, or an .npz file.")
@click.option("--top-k", type=click.IntRange(min=1), default=10, show_default=True, help="Images for each query.")
@click.option("--checkpoint", type=_FILE, help="Network of the queries.  [default: the one the gallery names]")
@click.option("--verification", type=_FILE, help="verification.json.  [default: that of the gallery's results]")
@click.option(
    "--prior",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="How likely an image is to show the person before its distance is seen; probabilities assume it.",
)
@click.option("--out", type=_FILE, help="Folder for search.json and contact sheets.  [default: write nothing]")
@click.option(
    "--subset",
    type=click.Choice(["gallery", "query", "all"]),
    default="gallery",
    show_default=True,
    help="Rows that are searched, where the file tells them apart.",
)
@click.option(
    "--index",
    type=click.Choice(["exact", "faiss"]),
    default="exact",
    show_default=True,
    help="faiss: an approximate index, kept beside the gallery; its recall is measured.",
)
@click.option(
    "--memory-gb",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Working memory of the exact search.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
@switches
def search(queries: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Find the gallery images nearest to each QUERY, and how likely each shows the same person.

    A QUERY is a picture, a folder of pictures, or row:N of the gallery file itself.
    """
    from reid.actions.search import search as find

    result = find(queries, **how)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        _print_answers(result)


@click.command(short_help="Compare two evaluations query by query.", epilog=_COMPARES)
@click.argument("run_a")
@click.argument("run_b")
@spec_input
@click.option("--out", type=_FILE, help="Folder for compare.html and comparison.json.  [default: write nothing]")
@click.option(
    "--resamples", type=click.IntRange(min=1), default=1000, show_default=True, help="Of the paired bootstrap."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@switches
def compare(run_a: str, run_b: str, file: Path | None, overrides: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Show by how much RUN_A is better than RUN_B, how sure that is, and on which queries.

    A run is a results folder, its evaluate folder, or an MLflow run id. Both must have measured the same test set. For
    run ids, mlflow.tracking_uri=... names the store.
    """
    from reid.actions.compare import compare as measure
    from reid.spec.load import load_spec

    result = measure(load_spec("", file, overrides).spec, run_a, run_b, **how)
    if as_json:
        click.echo(json.dumps(result.comparison.to_dict(), indent=2))
    else:
        _print_comparison(result)


def _print_answers(result: SearchResult) -> None:
    from rich.markup import escape

    named = any(answer.named for answer in result.answers)
    chance = () if result.prior is None else (f"same {'class' if named else 'person'}, prior {result.prior:g}",)
    header = ("image", "rank", "distance", *chance, *(("class",) if named else ("identity", "camera")), "row")
    folder = _common_folder([one.path for answer in result.answers for one in answer.nearest if one.path])
    for answer in result.answers:
        rows = [_neighbour(one, folder, named=named) for one in answer.nearest]
        print_rows(escape(answer.query), rows, header)
    if folder:
        click.echo(f"Images are in {folder}.")
    if result.recall is not None:
        click.echo(f"The index found {100 * result.recall:.1f} % of what an exact search finds.")
    _print_lines(result.notes, result.files)


def _common_folder(paths: Sequence[str]) -> str:
    """The folder that all paths lie in, with its last separator; empty where that says nothing."""
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120 - of strings as given
    except ValueError:  # no path, or absolute and relative ones
        return ""
    return f"{folder}{os.sep}" if folder.strip(os.sep) else ""


def _neighbour(one: Neighbour, folder: str, *, named: bool) -> tuple[str, ...]:
    from reid.retrieval.answers import in_per_cent

    chance = () if one.probability is None else (f"{in_per_cent(one.probability, 1)} %",)
    labels = (one.class_name,) if named else (one.pid, one.camid)
    path, *shown = ("-" if value is None else str(value) for value in (one.path, *labels))
    return (path.removeprefix(folder), str(one.rank), f"{one.distance:.4f}", *chance, *shown, str(one.row))


def _print_comparison(result: ComparisonResult) -> None:
    comparison = result.comparison
    header = ("figure", comparison.name_a, comparison.name_b, "A - B", "95 % interval", "p", "A wins", "B wins")
    rows = [_difference(name, found) for name, found in comparison.differences.items()]
    print_rows(f"{len(comparison.changes):,} queries, in points", rows, header)
    folder = _common_folder([one.path for one in comparison.changes if one.path])
    for title, changes in (("A gains most", comparison.gained), ("B gains most", comparison.lost)):
        if changes:
            columns = ("query", "AP by A", "AP by B", "first match by A", "by B", "identity", "camera")
            print_rows(title, [_change(one, folder) for one in changes[:_SHOWN_CHANGES]], columns)
    if folder:
        click.echo(f"Queries are in {folder}.")
    _print_lines(comparison.notes, result.files)


def _difference(name: str, found: PairedDifference) -> tuple[str, ...]:
    sure = not math.isnan(found.low)
    return (
        name,
        _percent(found.mean_a),
        _percent(found.mean_b),
        f"{100 * found.difference:+.1f}",
        f"{100 * found.low:+.1f} to {100 * found.high:+.1f}" if sure else "-",
        f"{found.p_value:.3f}" if sure else "-",
        f"{found.a_wins:,}",
        f"{found.b_wins:,}",
    )


def _change(one: QueryChange, folder: str) -> tuple[str, ...]:
    figures = (_percent(one.precision_a), _percent(one.precision_b), str(one.rank_a), str(one.rank_b))
    return (one.path.removeprefix(folder) or "-", *figures, str(one.pid), str(one.camid))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _print_lines(notes: Sequence[str], files: Mapping[str, Path]) -> None:
    for line in notes:
        click.echo(line)
    if files:
        print_rows("files", [(name, str(path)) for name, path in files.items()])
