"""Replaces `${other.key}` in values, with OmegaConf and without any resolver but `oc.env`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reid.spec.document import Given
from reid.spec.families import RE_IDENTIFICATION
from reid.spec.keys import nested, spec_keys
from reid.spec.problems import Problem

if TYPE_CHECKING:
    from omegaconf import DictConfig

_RESOLVER = re.compile(r"(?<!\\)\$\{\s*([A-Za-z_][\w.]*)\s*:")
_REFERENCE = re.compile(r"(?<!\\)\$\{\s*([A-Za-z_][\w.]*)\s*\}")
_NO_VARIABLE = re.compile(r"Environment variable '([^']+)' not found")
_NO_KEY = re.compile(r"Interpolation key '([^']+)' not found")
_FULL_NAMES = "refer to keys by their full dotted name"


def interpolate(
    chosen: dict[str, Given], problems: list[Problem], warnings: list[str], family: str = RE_IDENTIFICATION
) -> dict[str, Any]:
    """The values by canonical name, with references to other keys filled in.

    A reference may name any key of the spec, given or not. Text built around a key that is unset is unset too:
    `${results_dir}/train` must not become `/train`.

    Args:
        chosen: what the user gave, by canonical name.
        problems: receives references that cannot be resolved, and resolvers.
        warnings: receives values that became unset.
        family: whose keys and defaults are meant.
    """
    values = {path: given.value for path, given in chosen.items()}
    wanted = [path for path, value in values.items() if "${" in str(value)]
    if not wanted:  # OmegaConf costs 0.2 s to import, and most specs have no reference
        return values
    values = {path: "" if value == "???" else value for path, value in values.items()}
    everything = {path: key.default for path, key in spec_keys(family).items()} | values
    config = _config({path: value for path, value in everything.items() if path not in wanted})
    for path in wanted:
        refused = set(_RESOLVER.findall(str(values[path]))) - {"oc.env"}
        if refused:
            problems.append(_refused(path, chosen[path], sorted(refused)[0]))
            del values[path]
        elif _is_unset(path, everything, ()):
            warnings.append(f"{path}: {values[path]!r} refers to a key that is not set, so it counts as not set")
            values[path] = ""
        else:
            try:
                _insert(config, path, values[path])
            except Exception as error:  # OmegaConf raises the errors of several libraries
                problems.append(_unresolved(chosen[path], path, error))
                del values[path]
    for path in (path for path in wanted if values.get(path)):
        try:
            values[path] = _resolve(config, path)
        except Exception as error:  # among them RecursionError for circles
            problems.append(_unresolved(chosen[path], path, error))
            del values[path]
    return values


def escape(text: str) -> str:
    """Text that `interpolate` gives back unchanged, whatever it holds."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _config(everything: dict[str, Any]) -> DictConfig:
    from omegaconf import OmegaConf

    return OmegaConf.create(nested(everything))


def _insert(config: DictConfig, path: str, value: Any) -> None:
    from omegaconf import OmegaConf

    OmegaConf.update(config, path, value)


def _resolve(config: DictConfig, path: str) -> Any:
    from omegaconf import OmegaConf

    value = OmegaConf.select(config, path)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _is_unset(path: str, everything: dict[str, Any], seen: tuple[str, ...]) -> bool:
    """Whether the key has no value, or is text around a key that has none."""
    value = everything.get(path)
    if value == "" or value is None:
        return True
    if path in seen or not isinstance(value, str):
        return False
    return any(name in everything and _is_unset(name, everything, (*seen, path)) for name in _REFERENCE.findall(value))


def _unresolved(given: Given, path: str, error: Exception) -> Problem:
    why, fix = _reason(str(error), path)
    return Problem(f"{path} is {given.value!r} ({given.place}), which cannot be filled in", why, fix)


def _reason(said: str, path: str) -> tuple[str, str]:
    """Why a reference leads nowhere and what to do, from OmegaConf's words for it."""
    if variable := _NO_VARIABLE.search(said):
        name = variable[1]
        why = f"the environment variable {name} is not set"
        if path == "encryption_key":
            return why, f"export {name}=... before the command; a passphrase does not belong into a spec"
        return why, f"export {name}=... before the command, or give the value itself"
    if unknown := _NO_KEY.search(said):
        return f"there is no key {unknown[1]}", f"{_FULL_NAMES}, e.g. ${{results_dir}} or ${{train.num_epochs}}"
    if "recursi" in said.lower():
        return "the references lead back to the key itself", "give the value of one of them"
    return "a reference is not closed, or is not of the form ${key}", f"{_FULL_NAMES}, e.g. ${{results_dir}}"


def _refused(path: str, given: Given, resolver: str) -> Problem:
    return Problem(
        f"{path} uses the resolver {resolver} ({given.place})",
        "a spec is data: nothing in it is computed or run",
        "write the value itself, a reference such as ${results_dir}, or ${oc.env:NAME} for an environment variable",
    )
