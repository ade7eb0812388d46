"""Reads a spec file or an override into flat, dotted keys that remember where they stood and how they were written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reid.errors import SpecError
from reid.spec.keys import key_of_any_family
from reid.spec.problems import Problem

UNSET: tuple[Any, ...] = (None, "", "???", {})
"""What stands for "not set" in TAO's files."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Given:
    """One value as a user gave it.

    Attributes:
        path: dotted key exactly as written.
        value: plain Python value.
        raw: the scalar's text before YAML gave it a type; None for lists and quoted text.
        place: where it stands, for messages: "spec.yaml, line 12" or "command line".
    """

    path: str
    value: Any
    raw: str | None
    place: str


def read_file(file: Path) -> tuple[list[Given], list[Problem]]:
    """Every leaf of a YAML (or JSON) spec, in order, and the keys that are given twice.

    An empty file is an empty spec. Nested and dotted keys mean the same.

    Raises:
        SpecError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, _Loader)
    except OSError as error:
        raise SpecError(
            f"the spec file {file} cannot be read: {error.strerror}", "", "check the path given to -e"
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(
            f"the spec file {file} is not text", "a spec is a YAML file in UTF-8", "check the path given to -e"
        ) from error
    except yaml.YAMLError as error:
        raise SpecError(f"{file} is not valid YAML: {_where(error)}", "", "correct that line") from error
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
        return [], []
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise SpecError(
            f"{file} holds {kind}, not keys and values",
            "a spec is a mapping of keys to values",
            "write it as `key: value` lines; `reid default_specs results_dir=DIR` writes templates",
        )
    problems: list[Problem] = []
    given = list(_leaves(node, "", file.name, {}, problems))
    return given, problems


def read_overrides(overrides: Iterable[str]) -> tuple[list[Given], list[Problem]]:
    """The values of `a.b=c` arguments, and the arguments that are not of that form.

    Values are YAML, except that a key which takes text takes the rest of the argument as it is. Hydra's `+` and `++`
    before a key mean nothing here.
    """
    given: list[Given] = []
    problems: list[Problem] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        path = name.strip().lstrip("+")
        if not equals or not path:
            problems.append(
                Problem(f"`{text}` on the command line is not key=value", "", "write, for example, train.num_epochs=20")
            )
            continue
        try:
            given.extend(_override(path, value))
        except yaml.YAMLError as error:
            problems.append(Problem(f"the value of `{text}` is not valid YAML: {_where(error)}", "", "quote the value"))
    return given, problems


def _override(path: str, text: str) -> Iterator[Given]:
    place = "command line"
    known = key_of_any_family(path)
    if known is not None and known.kind == "string" and text.strip()[:1] not in ("'", '"'):
        yield Given(path, None if text.strip() in ("null", "~") else text, None, place)
        return
    node = yaml.compose(text, _Loader)
    if isinstance(node, yaml.MappingNode):
        problems: list[Problem] = []
        yield from (Given(one.path, one.value, one.raw, place) for one in _leaves(node, path, "", {}, problems))
        return
    yield Given(path, None if node is None else _value(node), None if node is None else _raw(node), place)


def _leaves(
    node: yaml.MappingNode, prefix: str, file: str, seen: dict[str, int], problems: list[Problem]
) -> Iterator[Given]:
    """Walks a mapping; `seen` holds the line of every leaf so far."""
    for key_node, value_node in _pairs(node):
        line = key_node.start_mark.line + 1
        path = f"{prefix}.{key_node.value}" if prefix else str(key_node.value)
        if isinstance(value_node, yaml.MappingNode) and value_node.value and key_of_any_family(path) is None:
            yield from _leaves(value_node, path, file, seen, problems)
            continue
        if path in seen:
            problems.append(
                Problem(
                    f"{path} is given twice in {file}: lines {seen[path]} and {line}",
                    "only one of the two could count",
                    "remove one of them",
                )
            )
            continue
        seen[path] = line
        yield Given(path, _value(value_node), _raw(value_node), f"{file}, line {line}")


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The entries of a mapping with YAML's merge keys (`<<: *anchor`) filled in."""
    own = [(key, value) for key, value in node.value if key.tag != "tag:yaml.org,2002:merge"]
    names = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for mapping in merged:
                own.extend(pair for pair in _pairs(mapping) if pair[0].value not in names)
                names.update(pair[0].value for pair in _pairs(mapping))
    for key, value in own:
        if not isinstance(key, yaml.ScalarNode):
            raise SpecError(
                f"line {key.start_mark.line + 1} has a list or a mapping as a key",
                "keys are names",
                "write it as `key: value`",
            )
        yield key, value


def _value(node: yaml.Node) -> Any:
    """The plain value of a node, by YAML's safe rules."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _raw(node: yaml.Node) -> str | None:
    """The text of a plain scalar; None for quoted text, lists and mappings."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) and not node.style else None


def _where(error: yaml.YAMLError) -> str:
    """One line out of PyYAML's several."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(problem)
