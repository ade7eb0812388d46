"""What TAO's `skill_info.yaml` says about a model: its actions, their inputs and outputs, and where paths come from."""

from __future__ import annotations

from typing import Any

from reid.spec.families import FAMILIES, RE_IDENTIFICATION, Family
from reid.spec.keys import TAO_ACTIONS


def skill_info(family: str = RE_IDENTIFICATION) -> dict[str, Any]:
    """The model's description, ready to be written as YAML. There is no container: `container_image` is empty."""
    names = FAMILIES[family]
    return {
        "name": names.model,
        "network_arch": names.name,
        "automl_enabled": False,  # TAO's layout has the field; this project has no search that it could start
        "container_image": "",
        "gpu_spec_key": "train.num_gpus",
        "actions": {action: _action(action, names) for action in TAO_ACTIONS},
        "data_sources": {action: _data_sources(action, names) for action in TAO_ACTIONS if names.subsets[action]},
        "spec_params": {action: dict(keys) for action, keys in names.hand_over.items()},
        "spec_shorthand_keys": dict(names.shorthands),
        "spec_templates": {action: f"references/spec_template_{action}.yaml" for action in TAO_ACTIONS},
    }


def _action(action: str, names: Family) -> dict[str, Any]:
    inputs = {key: {"type": "folder_or_archive", "optional": False} for key in names.subsets[action]}
    if action != "train":
        inputs[f"{action}.checkpoint"] = {"type": "file", "optional": True}
    return {
        "command": f"{names.name} {action} -e {{spec}}",
        "config_format": "yaml",
        "mode": action,
        "inputs": inputs,
        "outputs": [action],
        "upload_excludes": ["inputs/"],
    }


def _data_sources(action: str, names: Family) -> dict[str, Any]:
    return {
        key: {"source": "train_datasets", "path": path, "runtime": "folder_or_archive"}
        for key, path in names.subsets[action].items()
    }
