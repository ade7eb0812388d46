"""The resolved spec as MLflow takes it: flat, within its limits, without secrets; and as the key of a pipeline."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from reid.tracking.settings import without_passwords

MAX_VALUE_CHARS = 6000
"""MLflow refuses longer parameter values."""

_SECRET = {"encryption_key"}
_REFERENCE = re.compile(r"\$\{oc\.env:\w+\}")  # names an environment variable, and tells nothing
_PLACES = {
    "results_dir",
    "parent_run",
    "run",
    "checkpoint",
    "resume_training_checkpoint_path",
    "output_file",
    "onnx_file",
    "output_cmc_curve_plot",
    "output_sampled_matches_plot",
}


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"train": {"seed": 1}}` as `{"train.seed": "1"}`.

    Words stay as they are, everything else is JSON (`true`, `null`, `[1, 2]`); values are cut at `MAX_VALUE_CHARS`,
    the whole spec stands in the artifact `experiment.yaml`.
    """
    flat: dict[str, str] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = (value if isinstance(value, str) else json.dumps(value, default=str))[:MAX_VALUE_CHARS]
    return flat


def without_secrets(value: Any, key: str = "") -> Any:
    """A copy for people to read: pass phrases and the passwords inside addresses are replaced by `***`."""
    if isinstance(value, Mapping):
        return {name: without_secrets(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    if key in _SECRET and value and not _REFERENCE.fullmatch(str(value)):
        return "***"
    return without_passwords(value) if isinstance(value, str) else value


def pipeline_key(name: str, resolved_spec: Mapping[str, Any]) -> str:
    """SHA-256 that the actions of one pipeline share, though each has its own folders and checkpoint.

    The `mlflow` section and every key that only says where something lies are left out.
    """
    text = json.dumps([name, _without_places(resolved_spec)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_places(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_places(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key not in _PLACES and key != "mlflow"
    }
