"""What a step shows in the Prefect UI: its figures as a table, its pictures, its files."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from reid.actions.result import ActionResult

MAX_WIDTH = 1000
"""Pixels; larger pictures are shown reduced, the files keep their size."""

JPEG_QUALITY = 85
"""Prefect's server drops the event of an artifact above 1.5 MB, and photographs as PNG come near that."""


def publish(result: ActionResult) -> None:
    """Makes the artifacts `<action>-figures`, `<action>-pictures` and `<action>-files` of the current run."""
    if result.figures:
        create_table_artifact(
            key=f"{result.action}-figures",
            table=[{"figure": name, "value": value} for name, value in result.figures.items()],
            description=f"Figures of {result.action}, written to {result.results_dir}",
        )
    drawn = pictures([result])
    if drawn:
        create_markdown_artifact(
            key=f"{result.action}-pictures", markdown=drawn, description=f"Pictures that {result.action} drew"
        )
    create_markdown_artifact(
        key=f"{result.action}-files", markdown=_files(result), description=f"Files that {result.action} wrote"
    )


def metrics_table(figures: Mapping[str, float | int | str]) -> str:
    """A Markdown table of figures; fractions with four places."""
    rows = [
        f"| {name} | {value:.4f} |" if isinstance(value, float) else f"| {name} | {value} |"
        for name, value in figures.items()
    ]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def pictures(results: Iterable[ActionResult]) -> str:
    """Markdown with every PNG of the results inside it, as Prefect stores no files; empty when there is none."""
    found = [(name, path) for result in results for name, path in result.files.items() if path.suffix == ".png"]
    return "\n\n".join(f"### {name.replace('_', ' ')}\n\n![{name}]({data_uri(path)})" for name, path in found)


def data_uri(path: Path) -> str:
    """A picture as `data:image/...;base64,...`, at most `MAX_WIDTH` wide, as PNG or JPEG, whichever is smaller."""
    with Image.open(path) as image:
        shown = image.convert("RGB")
    shown.thumbnail((MAX_WIDTH, shown.height))
    png, jpeg = io.BytesIO(), io.BytesIO()
    shown.save(png, "PNG", optimize=True)
    shown.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    kind, smaller = min(("png", png), ("jpeg", jpeg), key=lambda pair: pair[1].tell())
    return f"data:image/{kind};base64,{base64.b64encode(smaller.getvalue()).decode()}"


def _files(result: ActionResult) -> str:
    rows = [f"| {name} | `{path}` | {path.stat().st_size:,} |" for name, path in result.files.items()]
    lines = ["| file | path | bytes |", "|---|---|---|", *rows]
    if result.run_id:
        lines += ["", f"MLflow run `{result.run_id}`"]
    return "\n".join(lines)
