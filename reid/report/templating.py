"""Pages from the templates in this folder: one HTML file each, with its style and script inside and nothing outside.

Whatever a user can name (paths, titles, protocol) is escaped. A content security policy in the page lets it load
nothing from anywhere and run only the one script that was rendered into it, known by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reid.report.words import shortened

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
"""What pages are rendered from: templates, styles and scripts, part of the package."""

NO_VALUE = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"


def render_page(template: str, values: Mapping[str, Any], *, script: str = "") -> str:
    """Renders a template that extends `base.html.j2`.

    Args:
        template: its file name in `templates/`.
        values: its variables; a variable without a value is an error.
        script: file name of the page's script in `templates/`; empty for a page without one. Data for it go into a
            `<script type="application/json">` through the filter `tojson`, which escapes "</script>".
    """
    source = (TEMPLATES / script).read_text(encoding="utf-8") if script else ""
    markup = Markup(source)  # noqa: S704 - a file of this package, not a user's text
    return environment().get_template(template).render(**values, page_script=markup, policy=_policy(source))


def percent(fraction: float | None) -> str:
    """0.5549 as "55.5 %"; a dash where there is no value."""
    if fraction is None or math.isnan(fraction):
        return NO_VALUE
    return f"{100 * fraction:.1f}{_SPACE}%"


def interval(bounds: tuple[float, float] | None) -> str:
    """(0.541, 0.568) as "[54.1, 56.8]", in per cent; nothing where there is none."""
    return f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else ""


def counted(number: int, noun: str = "", plural: str = "") -> str:
    """3368 as "3,368", and with a noun "3,368 queries" or "1 query"; the plural is given where it is not noun + s."""
    if not noun:
        return f"{number:,}"
    return f"{number:,}{_SPACE}{noun if number == 1 else plural or noun + 's'}"


@cache
def environment() -> Environment:
    """The templates and their filters; imported late, since most of the program draws no page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(percent=percent, interval=interval, counted=counted, shortened=shortened)
    return pages


def _policy(script: str) -> str:
    """Content security policy: no address at all, pictures as data, and exactly this script."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    scripts = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'"
    )
