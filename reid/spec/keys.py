"""Every key of a family's spec as one flat table: what the loader, the schemas, the documents and the help read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from reid.spec.base import Section
from reid.spec.families import FAMILIES, RE_IDENTIFICATION

TAO_ACTIONS = ("train", "evaluate", "inference", "export")
SPEC_ACTIONS = ("dataset", "train", "select", "evaluate", "inference", "export", "register", "promote")

_TAO_BLOCKS = ("wandb", "model", "dataset", "train", "re_ranking", "mlflow")
BLOCKS: dict[str, tuple[str, ...]] = {
    "dataset": ("dataset", "mlflow"),
    "train": _TAO_BLOCKS,
    "select": ("select", "mlflow"),
    "evaluate": (*_TAO_BLOCKS, "evaluate"),
    "inference": (*_TAO_BLOCKS, "inference"),
    "export": (*_TAO_BLOCKS, "export"),
    "register": ("register", "mlflow"),
    "promote": ("promote", "mlflow"),
}
"""The blocks that an action's template holds, beside the keys of no block."""


@dataclass(frozen=True)
class Key:
    """One leaf of the spec.

    Attributes:
        path: dotted name, e.g. "train.optim.base_lr".
        kind: "int", "float", "bool", "string" or "list".
        default: plain value (lists, not tuples).
        choices: the values allowed; empty where any value of the kind is.
        at_least, above, at_most, multiple_of: what validation accepts; None where it does not limit.
        tao_type, tao_minimum, tao_maximum, tao_choices, math_cond, depends_on, parent_param: what TAO's schema says.
        no_effect: why the key is ignored; empty for a key that does something.
    """

    path: str
    kind: str
    default: Any
    optional: bool
    choices: tuple[str, ...]
    description: str
    at_least: float | None
    above: float | None
    at_most: float | None
    multiple_of: int | None
    tao_type: str
    tao_minimum: float | None
    tao_maximum: float | None
    tao_choices: tuple[str, ...]
    math_cond: str
    depends_on: str
    parent_param: bool
    popular: bool
    automl: bool | None
    no_effect: str
    ours: bool
    mandatory: bool

    @property
    def block(self) -> str:
        """The outermost section, empty for a key of no section."""
        return self.path.rpartition(".")[0].partition(".")[0]

    @property
    def accepts(self) -> str:
        """The values that validation accepts, in words; empty where any value of the kind is accepted."""
        if self.choices:
            return ", ".join(choice or '""' for choice in self.choices)
        limits = [(">=", self.at_least), (">", self.above), ("<=", self.at_most)]
        words = [f"{sign} {limit:g}" for sign, limit in limits if limit is not None]
        if self.multiple_of is not None:
            words.append(f"a multiple of {self.multiple_of}")
        return ", ".join(words)


@cache
def spec_keys(family: str = RE_IDENTIFICATION) -> dict[str, Key]:
    """Every key of a family by its dotted path, in the order of the spec."""
    return {key.path: key for key in _walk(FAMILIES[family].spec, "", family)}


@cache
def section_paths(family: str = RE_IDENTIFICATION) -> tuple[str, ...]:
    """The dotted names of all sections, outer ones first, in the order of the spec."""
    found: dict[str, None] = {}
    for path in spec_keys(family):
        parts = path.split(".")[:-1]
        for end in range(1, len(parts) + 1):
            found[".".join(parts[:end])] = None
    return tuple(found)


def key_of_any_family(path: str) -> Key | None:
    """The key of that name in the first family that has it."""
    return next((spec_keys(family)[path] for family in FAMILIES if path in spec_keys(family)), None)


def keys_of(action: str, family: str = RE_IDENTIFICATION) -> list[Key]:
    """The keys in an action's template: those of no block, then its blocks in their order."""
    keys = spec_keys(family).values()
    return [key for block in ("", *BLOCKS[action]) for key in keys if key.block == block]


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Turns dotted paths into nested dictionaries, in the order given."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *sections, leaf = path.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = value
    return tree


def _walk(model: type[Section], prefix: str, family: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield from _walk(annotation, f"{prefix}{name}.", family)
        else:
            yield _key(f"{prefix}{name}", field, family)


def _key(path: str, field: FieldInfo, family: str) -> Key:
    extra: Any = field.json_schema_extra
    at_least, above, at_most = extra["ge"], extra["gt"], extra["le"]
    kind, optional, choices = _kind(field.annotation)
    ours = extra["ours"] in (True, family)
    minimum, maximum = extra["tao_bounds"] or (at_least if at_least is not None else above, at_most)
    return Key(
        path=path,
        kind=kind,
        default=list(field.default) if isinstance(field.default, tuple) else field.default,
        optional=optional,
        choices=choices,
        description=field.description or "",
        at_least=at_least,
        above=above,
        at_most=at_most,
        multiple_of=extra["multiple_of"],
        tao_type=extra["tao_type"] or kind,
        tao_minimum=minimum,
        tao_maximum=maximum,
        tao_choices=extra["tao_choices"],
        math_cond=extra["math_cond"],
        depends_on=extra["depends_on"],
        parent_param=extra["parent_param"],
        popular=extra["popular"] and not ours,
        automl=extra["automl"],
        no_effect=extra["no_effect"],
        ours=ours,
        mandatory=extra["mandatory"],
    )


def _kind(annotation: Any) -> tuple[str, bool, tuple[str, ...]]:
    """Name of the type, whether null is a value of it, and its choices."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        (inner,) = (part for part in get_args(annotation) if part is not type(None))
        return _kind(inner)[0], True, ()
    if origin is Literal:
        return "string", False, get_args(annotation)
    if origin is tuple:
        return "list", False, ()
    return {int: "int", float: "float", bool: "bool", str: "string"}[annotation], False, ()
