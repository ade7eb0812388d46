"""A standard JSON Schema (draft 2020-12) of the spec, for editors: completion, hover texts, red underlines."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import TypeAdapter

from reid.spec.base import Section
from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.keys import Key, spec_keys

_UNSET = {"enum": ["", "???", None]}
_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}"}


def editor_schema(family: str = RE_IDENTIFICATION) -> dict[str, Any]:
    """What `load_spec` accepts in a file of a family, as far as a schema can say it.

    Values that are not set, references such as `${results_dir}`, and other names of keys (marked deprecated) are valid.
    """
    names = FAMILIES[family]
    schema = _block(names.spec, "", family)
    schema["properties"] |= {name: _deprecated(path) for name, path in names.shorthands.items()}
    for old, path in names.renamed_keys.items():
        *sections, name = old.split(".")
        _inside(schema, sections)["properties"][name] = _deprecated(path)
    for old, path in names.renamed_roots.items():
        schema["properties"][old] = {
            "$ref": "#/properties/" + path.replace(".", "/properties/"),
            "deprecated": True,
            "description": f"Another name of {path}.",
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{family} experiment spec",
        **schema,
    }


def _block(model: type[Section], prefix: str, family: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            properties[name] = _block(annotation, f"{path}.", family)
        else:
            key = spec_keys(family)[path]
            properties[name] = _leaf(key, _value_schema(key, annotation))
    return {
        "type": ["object", "null"],
        "description": (model.__doc__ or "").strip(),
        "properties": properties,
        "additionalProperties": False,
    }


def _leaf(key: Key, value: dict[str, Any]) -> dict[str, Any]:
    note = f" No effect: {key.no_effect}." if key.no_effect else ""
    return {
        "description": key.description + note,
        "default": key.default,
        "anyOf": [value, _UNSET, _REFERENCE],
    }


def _value_schema(key: Key, annotation: Any) -> dict[str, Any]:
    if key.path == "automl_policy":
        return {"enum": ["on", "off", "auto", True, False]}
    if key.path == "train.optim.warmup_method":
        return {"enum": [*key.choices, "exp"]}
    if key.choices:
        return {"enum": list(key.choices)}
    if key.kind == "list":
        return TypeAdapter(annotation).json_schema()
    kind = {"int": "integer", "float": "number", "bool": "boolean", "string": "string"}[key.kind]
    limits = {
        "minimum": key.at_least,
        "exclusiveMinimum": key.above,
        "maximum": key.at_most,
        "multipleOf": key.multiple_of,
    }
    if key.kind == "string" and get_origin(annotation) is None and not get_args(annotation):
        return {"type": ["string", "number"]}  # YAML reads a bare 1234 as a number; it is kept as text
    return {"type": kind} | {name: limit for name, limit in limits.items() if limit is not None}


def _deprecated(path: str) -> dict[str, Any]:
    reference = "#/properties/" + "/properties/".join(path.split("."))
    return {"$ref": reference, "deprecated": True, "description": f"Another name of {path}."}


def _inside(schema: dict[str, Any], sections: list[str]) -> dict[str, Any]:
    for section in sections:
        schema = schema["properties"][section]
    return schema
