"""Spec templates: every key an action knows, at its default, with a comment that says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from reid.files import write_text
from reid.spec.families import RE_IDENTIFICATION
from reid.spec.keys import SPEC_ACTIONS, Key, keys_of, nested, section_paths


def default_specs(results_dir: Path, family: str = RE_IDENTIFICATION) -> dict[str, Path]:
    """Writes `<action>.yaml` for each action that takes a spec; gives the files by action."""
    files = {action: results_dir / f"{action}.yaml" for action in SPEC_ACTIONS}
    for action, file in files.items():
        write_text(file, template(action, family))
    return files


def template(action: str, family: str = RE_IDENTIFICATION) -> str:
    """A spec with all keys of an action at their defaults, as YAML with comments; it loads as it is.

    Checkpoints that TAO calls mandatory stand as `???`, which means "not set" here.
    """
    lines = [f"# Every key that `{family} {action}` knows, at its default. Remove what you do not change."]
    shown: set[str] = set()
    for key in keys_of(action, family):
        *sections, name = key.path.split(".")
        for depth in range(1, len(sections) + 1):
            section = ".".join(sections[:depth])
            if section in section_paths(family) and section not in shown:
                shown.add(section)
                lines.append(f"{'  ' * (depth - 1)}{sections[depth - 1]}:")
        indent = "  " * len(sections)
        lines.append(f"{indent}# {_comment(key)}")
        lines.append(f"{indent}{name}: {_inline(shown_default(key))}")
    return "\n".join(lines) + "\n"


def template_values(action: str, family: str = RE_IDENTIFICATION) -> dict[str, Any]:
    """The values of `template`, nested."""
    return nested({key.path: shown_default(key) for key in keys_of(action, family)})


def shown_default(key: Key) -> Any:
    """The default as TAO's templates write it: `???` where a value must be given, empty text for null."""
    if key.mandatory:
        return "???"
    return "" if key.default is None else key.default


def _comment(key: Key) -> str:
    parts = [key.description]
    if key.accepts:
        parts.append(f"Accepts {key.accepts}.")
    if key.no_effect:
        parts.append(f"No effect: {key.no_effect}.")
    return " ".join(parts)


def _inline(value: Any) -> str:
    """A value as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
