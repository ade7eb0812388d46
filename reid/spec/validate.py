"""Runs pydantic over the values and turns each of its complaints into one of ours."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from reid.spec.experiment import ExperimentSpec
from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.keys import Key, nested, spec_keys
from reid.spec.problems import Problem

_NEEDED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
}


def validate(
    values: dict[str, Any], places: dict[str, str], problems: list[Problem], family: str = RE_IDENTIFICATION
) -> ExperimentSpec | None:
    """The spec, or None when a value is of the wrong type or out of bounds; `problems` then says which.

    Args:
        values: by dotted name; keys left out take their defaults.
        places: where each value stands in the user's input.
        problems: receives one entry for each invalid key.
        family: of the spec.
    """
    try:
        return FAMILIES[family].spec.model_validate(nested(values))
    except ValidationError as error:
        seen = set()
        for detail in error.errors(include_url=False, include_context=False):
            path = _path(detail["loc"], family)
            if path not in seen:
                seen.add(path)
                problems.append(_problem(spec_keys(family)[path], values[path], places.get(path, ""), detail))
        return None


def _path(location: tuple[int | str, ...], family: str) -> str:
    """The key that an error is in: its location without positions inside a list or a union."""
    path = ".".join(str(part) for part in location)
    while path not in spec_keys(family):
        path = path.rpartition(".")[0]
    return path


def _problem(key: Key, value: Any, place: str, detail: Any) -> Problem:
    needs = _NEEDED[key.kind]
    if key.choices:
        why = "it must be one of " + ", ".join(choice or '""' for choice in key.choices)
    elif key.kind == "list":
        index = next((part for part in detail["loc"] if isinstance(part, int)), None)
        inside = f"entry {index + 1}: " if index is not None else ""
        why = f"{inside}{detail['msg'][0].lower()}{detail['msg'][1:]}"
    elif key.accepts:
        why = f"it must be {needs}, {key.accepts}"
    else:
        why = f"it must be {needs}"
    fix = f"for example {key.path}={_example(key)}"
    return Problem(f"{key.path} is {value!r}" + (f" ({place})" if place else ""), why, fix)


def _example(key: Key) -> str:
    if key.default is None:
        return "0"
    text = str(key.default).lower() if isinstance(key.default, bool) else str(key.default)
    return f"'{text}'" if key.kind == "list" else text
