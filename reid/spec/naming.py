"""The values of a layer, a file or the command line, under the names and in the words of a family's spec."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reid.spec.aliases import canonical, canonical_value, nearest
from reid.spec.document import UNSET, Given
from reid.spec.families import FAMILIES
from reid.spec.keys import section_paths, spec_keys
from reid.spec.problems import Problem


@dataclass(frozen=True)
class Alias:
    """A key that was given under another name."""

    given: str
    used: str
    place: str


def known_values(
    layer: Iterable[Given],
    aliases: list[Alias],
    problems: list[Problem],
    family: str,
    last_counts: list[str] | None = None,
) -> dict[str, Given]:
    """The layer's values by their canonical names; unknown names and contradictions become problems.

    Args:
        last_counts: receives contradictions as warnings, where the last of two values counts.
    """
    chosen: dict[str, Given] = {}
    for given in layer:
        path = canonical(given.path, family)
        if path in section_paths(family) and given.value in UNSET:
            continue
        if path not in spec_keys(family):
            problems.append(_unknown(given, path, family))
            continue
        if path != given.path:
            aliases.append(Alias(given.path, path, given.place))
        other = chosen.get(path)
        if other is not None and other.value != given.value:
            found = f"{other.path} is {other.value!r} ({other.place}), {given.path} is {given.value!r} ({given.place})"
            if last_counts is None:
                problems.append(
                    Problem(found, "both are names of the same setting", f"keep one of them, best as {path}")
                )
            elif path != "encryption_key":
                last_counts.append(f"{found}; the last one counts")
        chosen[path] = given
    return chosen


def typed_values(values: dict[str, Any], chosen: dict[str, Given], warnings: list[str], family: str) -> dict[str, Any]:
    """Leaves out what is unset, keeps the text of keys that take text, and renames values."""
    typed: dict[str, Any] = {}
    for path, value in values.items():
        key = spec_keys(family)[path]
        if value in UNSET:
            if "" in key.choices:
                typed[path] = ""
            continue
        raw = chosen[path].raw
        if key.kind == "string" and not key.choices and raw is not None and not isinstance(value, str):
            value = raw
        typed[path], warning = canonical_value(path, value, family)
        if warning:
            warnings.append(warning)
    return typed


def _unknown(given: Given, path: str, family: str) -> Problem:
    if path in section_paths(family):
        return Problem(
            f"{given.path} is {given.value!r} ({given.place})",
            "it is the name of a block of keys and has no value of its own",
            f"set a key of it, e.g. {next(key for key in spec_keys(family) if key.startswith(path + '.'))}",
        )
    found = f"unknown key {given.path} ({given.place})"
    guess = nearest(path, family)
    other = next((name for name in FAMILIES if path in spec_keys(name)), "")
    if other:
        why = f"{other} has such a key, and this is a spec of {family}"
        return Problem(found, why, f"use {guess}, or set family={other}" if guess else f"set family={other}")
    fix = f"did you mean {guess}?" if guess else "`reid schema --docs FILE` writes the table of all keys"
    return Problem(found, "no action reads a key of this name", fix)
