"""Markdown files from the templates in this folder, with whatever a user can name kept from reading as markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from reid.report.templating import TEMPLATES, counted, interval, percent

if TYPE_CHECKING:
    from jinja2 import Environment


def render_markdown(template: str, values: Mapping[str, Any]) -> str:
    """Renders a template.

    Args:
        template: its file name in `templates/`.
        values: its variables; a variable without a value is an error. Text of users goes through the filter `code`.
    """
    return _environment().get_template(template).render(**values)


def code(value: object) -> str:
    """A value as a code span of one line, inside and outside of tables.

    A stroke is written as its HTML entity outside the span's backticks, since it would end a cell of a table.
    """
    parts = " ".join(str(value).split()).split("|")
    return "&#124;".join(_span(part) for part in parts)


def fenced(text: str, language: str) -> str:
    """A block of code, fenced by more backticks than the text has in a row."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _span(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 - Markdown has other rules than HTML: `code` and `fenced` follow them
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters.update(percent=percent, interval=interval, counted=counted, code=code, fenced=fenced)
    return pages
