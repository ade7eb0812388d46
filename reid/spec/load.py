"""From a spec file and `a.b=c` overrides to a validated spec, with a report of what was changed on the way."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reid.errors import SpecError
from reid.spec.aliases import canonical, canonical_value, nearest
from reid.spec.checks import check_keys_together, settle
from reid.spec.document import Given, Problem, read_file, read_overrides
from reid.spec.experiment import ExperimentSpec
from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.interpolation import escape, interpolate
from reid.spec.keys import section_paths, spec_keys
from reid.spec.validate import validate

log = logging.getLogger(__name__)

KEY_VARIABLE = "REID_ENCRYPTION_KEY"
"""Environment variable for the passphrase of checkpoints."""

KEY_REFERENCE = f"${{oc.env:{KEY_VARIABLE}}}"
"""What stands for a passphrase wherever a spec is written down."""

_SEVERAL = 3
"""Keys of the other family from which on a file counts as one of its."""

_UNSET: tuple[Any, ...] = (None, "", "???", {})


@dataclass(frozen=True)
class Alias:
    """A key that was given under another name."""

    given: str
    used: str
    place: str


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

    family = _family(family, [*in_file, *in_overrides])
    _require_own_keys(in_file, family)
    aliases: list[Alias] = []
    warnings: list[str] = []
    chosen = _known(in_file, aliases, problems, family)
    chosen |= _known(in_overrides, aliases, problems, family, warnings)
    values = interpolate(chosen, problems, warnings, family)
    values = _typed(values, chosen, warnings, family)
    spec = validate(values, {name: given.place for name, given in chosen.items()}, problems, family)
    if spec is not None:
        spec = validate(values | settle(spec, warnings), {}, problems, family) or spec
        check_keys_together(spec, action, problems, warnings)
    if problems or spec is None:
        raise _error(problems, path, singly=spec is None)

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


def _family(asked: str, given: Sequence[Given]) -> str:
    """The family of the spec; what the caller asks for must not be contradicted by the user.

    Raises:
        SpecError: there is no such family, or it is another one than was asked for.
    """
    said = next((one for one in reversed(given) if one.path == "family" and one.value not in _UNSET), None)
    if said is None:
        return asked or RE_IDENTIFICATION
    name = str(said.value).lower()
    if name not in FAMILIES:
        raise SpecError(
            f"family is {said.value!r} ({said.place})",
            f"it must be one of {', '.join(FAMILIES)}",
            f"for example family={RE_IDENTIFICATION}",
        )
    if asked and name != asked:
        raise SpecError(
            f"the spec is of the family {name} ({said.place}), and this is {asked}",
            "the families have other keys, networks and figures",
            f"run it with `{name}` in place of `{asked}`, or with `reid`, which takes both; or give a spec of {asked}",
        )
    return name


def _require_own_keys(in_file: Sequence[Given], family: str) -> None:
    """Refuses a file that was plainly written for the other family, without naming each of its keys.

    Raises:
        SpecError: several keys are not of this family, and are of one other.
    """
    for other in FAMILIES:
        theirs = [one.path for one in in_file if _is_foreign(one.path, family, other)]
        if len(theirs) >= _SEVERAL:
            raise SpecError(
                f"{len(theirs)} keys of {in_file[0].place.rpartition(',')[0]} are keys of {other}, such as {theirs[0]} "
                f"and {theirs[1]}, and it was read as a spec of {family}",
                "the families have other keys, and a file that does not name its family is taken for the one that is "
                "asked for",
                f"write family: {other} into it, or run it with `{other}`",
            )


def _is_foreign(path: str, family: str, other: str) -> bool:
    return canonical(path, family) not in spec_keys(family) and path in spec_keys(other)


def _known(
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
        if path in section_paths(family) and given.value in _UNSET:
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


def _typed(values: dict[str, Any], chosen: dict[str, Given], warnings: list[str], family: str) -> dict[str, Any]:
    """Leaves out what is unset, keeps the text of keys that take text, and renames values."""
    typed: dict[str, Any] = {}
    for path, value in values.items():
        key = spec_keys(family)[path]
        if value in _UNSET:
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


def _literal(value: Any) -> Any:
    """Protects text that looks like an interpolation, so that it is read back as text."""
    if isinstance(value, dict):
        return {name: _literal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def _error(problems: list[Problem], file: Path | None, *, singly: bool) -> SpecError:
    """All problems in one.

    Args:
        singly: the values of single keys are wrong, so that no rule over several keys could be checked.
    """
    rest = "\nRules that look at several keys are checked once each of them is valid." if singly else ""
    if len(problems) == 1:
        (one,) = problems
        return SpecError(one.found, one.why, (one.fix + rest).lstrip())
    lines = [
        f"{number}. " + ": ".join(part for part in (problem.found, problem.why) if part)
        for number, problem in enumerate(problems, 1)
    ]
    fixes = [f"{number}. {problem.fix}" for number, problem in enumerate(problems, 1) if problem.fix]
    return SpecError(
        f"{len(problems)} problems in the spec" + (f" {file}" if file else "") + ":\n" + "\n".join(lines),
        "",
        ("\n".join(fixes) + rest).lstrip(),
    )


def _notes(spec: ExperimentSpec) -> tuple[str, ...]:
    key = spec.names["batch_size"]
    return (
        f"re_ranking.re_ranking is {str(spec.re_ranking.re_ranking).lower()}; it often moves mAP by several points",
        f"{key}: {spec.batch_size} is the total of {spec.gpus} device(s): "
        f"{spec.batch_size // spec.gpus} images each, {spec.num_instances} of each {spec.noun}",
    )
