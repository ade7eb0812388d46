"""How the tensors of a source fit those of a module: by name, and then by shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from reid.model.weights.report import Mismatch


@dataclass(frozen=True)
class Match:
    """What a source has for a module.

    Attributes:
        taken: tensors of a name and a shape that the module has.
        missing: names of the module that the source does not have, sorted.
        mismatched: tensors of another shape there, sorted by name.
        unknown: names of the source that the module does not have.
    """

    taken: dict[str, Tensor]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    unknown: frozenset[str]


def match(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor], *, prefix: str = "") -> Match:
    """Compares a source with a module.

    Args:
        theirs: tensors of the source, under the module's names as far as they are known.
        own: tensors of the module.
        prefix: put before a name where a mismatch is told.
    """
    shared = sorted(theirs.keys() & own.keys())
    taken = {name: theirs[name] for name in shared if theirs[name].shape == own[name].shape}
    return Match(
        taken=taken,
        missing=tuple(sorted(own.keys() - theirs.keys())),
        mismatched=tuple(
            Mismatch(prefix + name, tuple(theirs[name].shape), tuple(own[name].shape))
            for name in shared
            if name not in taken
        ),
        unknown=frozenset(theirs.keys() - own.keys()),
    )
