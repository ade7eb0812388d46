"""From a spec file and `a.b=c` overrides to a validated spec, with a report of what was changed on the way."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reid.spec.checks import check_keys_together, settle
from reid.spec.document import read_file, read_overrides
from reid.spec.experiment import ExperimentSpec
from reid.spec.family_choice import family_of, require_own_keys
from reid.spec.interpolation import escape, interpolate
from reid.spec.keys import spec_keys
from reid.spec.naming import Alias, known_values, typed_values
from reid.spec.problems import error_of
from reid.spec.validate import validate

log = logging.getLogger(__name__)

KEY_VARIABLE = "REID_ENCRYPTION_KEY"
"""Environment variable for the passphrase of checkpoints."""

KEY_REFERENCE = f"${{oc.env:{KEY_VARIABLE}}}"
"""What stands for a passphrase wherever a spec is written down."""


@dataclass(frozen=True)
class SpecReport:
    """What happened between the user's file and the spec.

    Attributes:
        file: the spec file, None when only defaults and overrides were used.
        given: every key as the user wrote it, file first and overrides last, by dotted name.
        normalised: the user's keys under their names here, after interpolation; no defaults.
        aliases: keys given under another name.
        no_effect: keys the user set that do nothing here, with the reason.
        warnings: values that were changed, and combinations that do less than they seem to.
        notes: settings that move results or speed a lot, stated in every report.
    """

    file: Path | None
    given: dict[str, Any]
    normalised: dict[str, Any]
    aliases: tuple[Alias, ...]
    no_effect: dict[str, str]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LoadedSpec:
    """A validated spec and the report of how it came about."""

    spec: ExperimentSpec
    report: SpecReport


def load_spec(
    action: str = "", file: Path | str | None = None, overrides: Sequence[str] = (), family: str = ""
) -> LoadedSpec:
    """Reads, renames, interpolates and validates a spec.

    Args:
        action: the verb the spec is for; checks of training alone are left out for the others. Empty: all checks.
        file: YAML or JSON; None for the defaults.
        overrides: `a.b=c` arguments; the last one wins, and all win over the file.
        family: which keys there are; empty: what the key `family` says, else re_identification.

    Raises:
        SpecError: names every problem that was found, not only the first.
    """
    path = Path(file) if file else None
    in_file, problems = read_file(path) if path else ([], [])
    in_overrides, more = read_overrides(overrides)
    problems += more

    family = family_of(family, [*in_file, *in_overrides])
    require_own_keys(in_file, family)
    aliases: list[Alias] = []
    warnings: list[str] = []
    chosen = known_values(in_file, aliases, problems, family)
    chosen |= known_values(in_overrides, aliases, problems, family, warnings)
    values = interpolate(chosen, problems, warnings, family)
    values = typed_values(values, chosen, warnings, family)
    spec = validate(values, {name: given.place for name, given in chosen.items()}, problems, family)
    if spec is not None:
        spec = validate(values | settle(spec, warnings), {}, problems, family) or spec
        check_keys_together(spec, action, problems, warnings)
    if problems or spec is None:
        raise error_of(problems, path, singly=spec is None)

    keys = spec_keys(family)
    report = SpecReport(
        file=path,
        given={given.path: given.value for given in (*in_file, *in_overrides)},
        normalised=values,
        aliases=tuple(aliases),
        no_effect={name: keys[name].no_effect for name in values if keys[name].no_effect},
        warnings=tuple(warnings),
        notes=_notes(spec),
    )
    return LoadedSpec(spec, report)


def dump_spec(spec: ExperimentSpec, *, given_only: bool = False) -> str:
    """The resolved spec as YAML; loading it gives an equal spec.

    A passphrase is not in it: `KEY_REFERENCE` stands there instead, so that loading asks for it in the environment.

    Args:
        given_only: leave out what nobody set, and an action may take from its checkpoint.
    """
    values = {"family": spec.family} | spec.model_dump(mode="json", exclude_unset=given_only)
    values = without_passphrase(_literal(values))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def flatten_spec(spec: ExperimentSpec) -> dict[str, Any]:
    """Every key by its dotted path, with plain values (lists, not tuples), and `KEY_REFERENCE` for a passphrase."""
    values = {path: spec.value(path) for path in spec_keys(spec.family)}
    return without_passphrase(
        {path: list(value) if isinstance(value, tuple) else value for path, value in values.items()}
    )


def without_passphrase(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name, for people to read: `KEY_REFERENCE` in place of a passphrase."""
    return {name: KEY_REFERENCE if name == "encryption_key" and value else value for name, value in values.items()}


def log_report(report: SpecReport) -> None:
    """One line for each alias and warning, and one for all keys without effect."""
    for alias in report.aliases:
        log.info("spec: %s (%s) is read as %s", alias.given, alias.place, alias.used)
    for warning in report.warnings:
        log.warning("spec: %s", warning)
    if report.no_effect:
        log.info("spec: keys without effect here: %d; `reid spec check` lists them with reasons", len(report.no_effect))


def _literal(value: Any) -> Any:
    """Protects text that looks like an interpolation, so that it is read back as text."""
    if isinstance(value, dict):
        return {name: _literal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def _notes(spec: ExperimentSpec) -> tuple[str, ...]:
    key = spec.names["batch_size"]
    return (
        f"re_ranking.re_ranking is {str(spec.re_ranking.re_ranking).lower()}; it often moves mAP by several points",
        f"{key}: {spec.batch_size} is the total of {spec.gpus} device(s): "
        f"{spec.batch_size // spec.gpus} images each, {spec.num_instances} of each {spec.noun}",
    )
