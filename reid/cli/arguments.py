"""The words after a command: `-e FILE` and `key=value ...`, with a guess where a word is neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from reid.cli.completion import complete_overrides
from reid.errors import SpecError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def spec_input(function: _Function) -> _Function:
    """Adds `-e FILE` and `key=value ...`, in any order, as `file` and `overrides`."""
    for parameter in (
        click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides),
        click.option(
            "-e",
            "--experiment_spec_file",
            "--experiment_spec",
            "file",
            type=click.Path(path_type=Path),
            help="Spec file (YAML); defaults apply to what it leaves out.",
        ),
    ):
        function = parameter(function)
    return function


def require_settings(words: Sequence[str], command: str, *, verbs: Sequence[str] = ()) -> None:
    """Refuses a first word that looks like a mistyped verb, and a setting that a space has cut in two.

    Args:
        words: what stood after the command, options left out.
        command: its name, for messages.
        verbs: words other than settings that may come first.

    Raises:
        SpecError: with the line that was probably meant. A word about which there is nothing to guess is left to the
            spec, which names every such word.
    """
    plain = next((index for index, word in enumerate(words) if "=" not in word), None)
    if plain is None:
        return
    near = get_close_matches(words[plain], verbs, n=1) if plain == 0 else []
    if near:
        raise SpecError(
            f"`{words[0]}` is neither key=value nor a command of {command}",
            fix=f"did you mean {command} {near[0]}?",
        )
    start = plain - 1 if plain and words[plain - 1].endswith("=") else plain
    end = start + (3 if "=" in words[start + 1 : start + 2] else 2)  # key value, key= value, key =value, key = value
    pieces = words[start:end]
    joined = f"{pieces[0].rstrip('=')}={pieces[-1].lstrip('=')}"
    if len(pieces) == end - start and joined.count("=") == 1 and _is_key(pieces[0].rstrip("=")):
        raise SpecError(
            f"`{' '.join(pieces)}` on the command line is not key=value",
            "a setting is one word, without a space before or after the =",
            f"did you mean {joined}?",
        )


def _is_key(name: str) -> bool:
    from reid.spec.aliases import canonical
    from reid.spec.families import FAMILIES
    from reid.spec.keys import spec_keys

    return any(canonical(name, family) in spec_keys(family) for family in FAMILIES)
