"""The part of a command's help that comes from the spec: its keys with defaults, the popular ones first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from reid.cli.programs import FAMILY_PROGRAMS

if TYPE_CHECKING:
    from reid.spec.keys import Key


_FIRST = (
    "results_dir",
    "device",
    "dataset.train_dataset_dir",
    "dataset.test_dataset_dir",
    "dataset.query_dataset_dir",
    "train.optim.base_lr",
    "dataset.train_dataset",
    "dataset.val_dataset.reference",
    "dataset.val_dataset.query",
    "dataset.num_instance",
    "model.backbone",
    "train.batch_size",
    "train.optim.trunk.base_lr",
    "train.optim.embedder.base_lr",
)
"""Keys that nearly every command line sets, beside those that TAO flags as popular."""


_NO_NETWORK = ("dataset", "select", "register", "promote")
_OF_NETWORKS = ("device", "cpu_threads")
"""Keys of no block that the actions above, which run no network, do not read."""

_READ_BESIDE = {
    "select": ("train.results_dir", "dataset.cache_dir"),
    "register": ("export.onnx_file", "export.results_dir", "evaluate.results_dir", "train.results_dir"),
}
"""Keys of other blocks that say where the results of other actions are."""


def keys_for(action: str, family: str) -> list[Key]:
    """The keys that a command reads, those of its own block first; every key where the command is not an action."""
    from reid.spec.keys import BLOCKS, keys_of, spec_keys

    if action not in BLOCKS:
        return list(spec_keys(family).values())
    keys = [key for key in keys_of(action, family) if key.block != "train" or action == "train"]
    if action in _NO_NETWORK:
        keys = [key for key in keys if key.path not in _OF_NETWORKS]
    keys += [spec_keys(family)[path] for path in _READ_BESIDE.get(action, ())]
    return sorted(keys, key=lambda key: key.block not in ("", action))


def write_keys(action: str, formatter: click.HelpFormatter, family: str, *, everything: bool) -> None:
    """Lists the keys with an effect, popular ones first, and says where the rest are.

    Args:
        action: whose keys.
        formatter: of the help.
        family: whose keys; empty for the first one, with a word about the others.
        everything: list those that are neither popular nor of the action's own block too.
    """
    from reid.spec.families import FAMILIES

    names = FAMILIES[family or FAMILY_PROGRAMS[0]]
    keys = [key for key in keys_for(action, names.name) if not key.no_effect]
    own = {action} - {"train", "dataset"} | ({"mlflow"} if action in ("register", "promote") else set())
    named = (*_FIRST, *_READ_BESIDE.get(action, ()))
    first = [key for key in keys if key.popular or key.path in named or key.block in own]
    others = [key for key in keys if key not in first]
    groups = {"Spec keys, popular ones": first, "Other spec keys": others if everything else []}
    for title, group in groups.items():
        if group:
            with formatter.section(title):
                formatter.write_dl([(_default(key), _text(key)) for key in group])
    formatter.write_paragraph()
    if not everything and others:
        formatter.write_text(f"{len(others)} more keys: --help-all, or {names.page}.")
    formatter.write_text(f"Keys that TAO has and that do nothing here are listed in {names.page}.")
    for other in FAMILY_PROGRAMS if not family else ():
        if other != names.name:
            formatter.write_text(f"For a spec with family: {other} see `{other} {action} --help`.")


def _default(key: Key) -> str:
    value = "" if key.default in ("", None) else json.dumps(key.default).strip('"')
    return f"{key.path}={value.replace(', ', ',')}"


def _text(key: Key) -> str:
    return f"{key.description} [{key.accepts}]" if key.accepts else key.description
