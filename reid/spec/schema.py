"""Writes the spec as files that other programs read: TAO's schemas, manifest and templates, and a JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from reid import __version__
from reid.files import write_json, write_text
from reid.spec.editor import editor_schema
from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.keys import TAO_ACTIONS, Key, keys_of, nested, section_paths, spec_keys
from reid.spec.skill import skill_info
from reid.spec.templates import shown_default, template, template_values

_CONTAINERS = ("wandb", "model", "dataset", "train", "evaluate", "inference", "export", "re_ranking", "mlflow")


def write_schemas(folder: Path, family: str = RE_IDENTIFICATION) -> list[Path]:
    """Writes `schemas/` and `references/` under a folder, in the layout of TAO's skills; gives the files, sorted.

    All JSON is strict: a bound that TAO writes as Infinity is left out.
    """
    files = {folder / "schemas" / f"{action}.schema.json": action_schema(action, family) for action in TAO_ACTIONS}
    files[folder / "schemas" / "manifest.json"] = manifest(family)
    files[folder / "schemas" / f"{family}.json"] = editor_schema(family)
    for file, content in files.items():
        write_json(file, content)
    texts = {folder / "references" / f"spec_template_{action}.yaml": template(action, family) for action in TAO_ACTIONS}
    texts[folder / "references" / "skill_info.yaml"] = yaml.safe_dump(skill_info(family), sort_keys=False, width=120)
    for file, text in texts.items():
        write_text(file, text)
    return sorted([*files, *texts])


def action_schema(action: str, family: str = RE_IDENTIFICATION) -> dict[str, Any]:
    """One action's schema in TAO's layout: bounds, defaults, and what interfaces and searches may touch."""
    keys = keys_of(action, family)
    properties = nested({key.path: _leaf(key) for key in keys})
    return {
        "automl_default_parameters": automl_default_parameters(family),
        "automl_disabled_parameters": automl_disabled_parameters(family),
        "default": template_values(action, family),
        "popular": popular(action, family),
        "properties": {name: _object(value) for name, value in properties.items()},
        "type": "object",
        "x_tao_schema": {
            "action": action,
            "core_module": FAMILIES[family].spec.__module__.rpartition(".")[0],
            "model": FAMILIES[family].model,
            "network_arch": family,
            "schema_action": action,
            "schema_version": 1,
            "source": f"reid {__version__}",
        },
    }


def manifest(family: str = RE_IDENTIFICATION) -> dict[str, Any]:
    """What `schemas/` holds, by action."""
    return {
        "actions": {
            action: {
                "automl_default_parameters": automl_default_parameters(family),
                "automl_disabled_parameters": automl_disabled_parameters(family),
                "core_module": FAMILIES[family].spec.__module__.rpartition(".")[0],
                "path": f"schemas/{action}.schema.json",
                "popular": popular(action, family),
                "schema_action": action,
                "spec_template": f"references/spec_template_{action}.yaml",
            }
            for action in TAO_ACTIONS
        },
        "automl_enabled": False,  # as in skill_info.yaml; the lists below are for a search of the reader's own
        "failures": {},
        "model": FAMILIES[family].model,
        "network_arch": family,
        "schema_version": 1,
    }


def automl_default_parameters(family: str = RE_IDENTIFICATION) -> list[str]:
    """The keys that a hyper-parameter search varies when it is not told which."""
    return [key.path for key in spec_keys(family).values() if key.automl is True]


def automl_disabled_parameters(family: str = RE_IDENTIFICATION) -> list[str]:
    """Blocks, which are containers and no values, and the keys that a search must leave alone; in TAO's order."""
    keys = spec_keys(family).values()
    off = [key.path for key in keys if key.automl is False]
    theirs = [key.path for key in keys if not key.ours]
    off += [path for path in section_paths(family) if any(key.startswith(f"{path}.") for key in theirs)]
    listed: list[str] = []
    for block in _CONTAINERS:
        listed += [block, *(path for path in off if path.startswith(f"{block}."))]
    return listed


def popular(action: str, family: str = RE_IDENTIFICATION) -> dict[str, Any]:
    """The defaults of the keys that user interfaces show first, nested."""
    return nested({key.path: shown_default(key) for key in keys_of(action, family) if key.popular})


def _object(value: dict[str, Any]) -> dict[str, Any]:
    """A block becomes an object with properties; a leaf stays as it is."""
    if isinstance(value.get("type"), str):
        return value
    return {"type": "object", "properties": {name: _object(inner) for name, inner in value.items()}}


def _leaf(key: Key) -> dict[str, Any]:
    leaf: dict[str, Any] = {
        "type": key.tao_type,
        "default": shown_default(key),
        "description": key.description,
    }
    bounds = {"minimum": key.tao_minimum, "maximum": key.tao_maximum}
    leaf |= {name: bound for name, bound in bounds.items() if bound is not None}
    if key.choices or key.tao_choices:
        leaf["enum"] = list(key.tao_choices or key.choices)
    if key.math_cond:
        leaf["math_cond"] = key.math_cond
    if key.depends_on:
        leaf["depends_on"] = key.depends_on
    if key.parent_param:
        leaf["parent_param"] = True
    if key.popular:
        leaf["popular"] = True
    if key.automl is not None:
        leaf["automl_enabled"] = key.automl
    if key.ours:
        leaf["extension"] = True
    if key.no_effect:
        leaf["no_effect"] = key.no_effect
    return leaf
