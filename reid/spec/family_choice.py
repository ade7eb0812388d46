"""Which family a spec is of: what its user says, what the program asks for, and files that plainly are of another."""

from __future__ import annotations

from collections.abc import Sequence

from reid.errors import SpecError
from reid.spec.aliases import canonical
from reid.spec.document import UNSET, Given
from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.keys import spec_keys

_SEVERAL = 3
"""Keys of the other family from which on a file counts as one of its."""


def family_of(asked: str, given: Sequence[Given]) -> str:
    """The family of the spec; what the caller asks for must not be contradicted by the user.

    Raises:
        SpecError: there is no such family, or it is another one than was asked for.
    """
    said = next((one for one in reversed(given) if one.path == "family" and one.value not in UNSET), None)
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


def require_own_keys(in_file: Sequence[Given], family: str) -> None:
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
