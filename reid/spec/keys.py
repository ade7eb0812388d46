"""Every key of the spec as one flat table: what the loader, the schemas, the documents and the help read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from reid.spec.base import Section
from reid.spec.re_identification import ReIdentificationSpec

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
        tao_type, tao_minimum, tao_maximum: what TAO's schema says.
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
def spec_keys() -> dict[str, Key]:
    """Every key by its dotted path, in the order of the spec."""
    return {key.path: key for key in _walk(ReIdentificationSpec, "")}


@cache
def section_paths() -> tuple[str, ...]:
    """The dotted names of all sections, outer ones first, in the order of the spec."""
    found: dict[str, None] = {}
    for path in spec_keys():
        parts = path.split(".")[:-1]
        for end in range(1, len(parts) + 1):
            found[".".join(parts[:end])] = None
    return tuple(found)


def keys_of(action: str) -> list[Key]:
    """The keys in an action's template: those of no block, then its blocks in their order."""
    keys = spec_keys().values()
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


def _walk(model: type[Section], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield from _walk(annotation, f"{prefix}{name}.")
        else:
            yield _key(f"{prefix}{name}", field)


def _key(path: str, field: FieldInfo) -> Key:
    extra: Any = field.json_schema_extra
    at_least, above, at_most, multiple_of = extra["accepted"]
    kind, optional, choices = _kind(field.annotation)
    minimum, maximum = extra["tao_bounds"]
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
        multiple_of=multiple_of,
        tao_type=extra["tao_type"] or kind,
        tao_minimum=minimum,
        tao_maximum=maximum,
        popular=extra["popular"],
        automl=extra["automl"],
        no_effect=extra["no_effect"],
        ours=extra["ours"],
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
