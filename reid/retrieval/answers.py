"""What a search found, in one object for tables, JSON and contact sheets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Neighbour:
    """A gallery image near a query.

    Attributes:
        rank: from 1, the nearest.
        row: of the gallery file.
        path: of the image; None where the file does not say, as `pid` and `camid`.
        pid: identity.
        camid: camera.
        distance: squared Euclidean on L2-normalised vectors, in [0, 4].
        probability: that it shows the query's person, under the search's prior; None without verification figures.
        class_name: what it shows, in a gallery of named classes; None in any other.
    """

    rank: int
    row: int
    path: str | None
    pid: int | None
    camid: int | None
    distance: float
    probability: float | None
    class_name: str | None = None


@dataclass(frozen=True)
class Answer:
    """A query with its nearest gallery images.

    Attributes:
        query: as it was asked for: a path, or "row:N".
        path: of the query's picture; None where it is not known.
        nearest: by rank.
    """

    query: str
    path: str | None
    nearest: tuple[Neighbour, ...]

    @property
    def named(self) -> bool:
        """Whether it was found in a gallery of named classes."""
        return any(one.class_name is not None for one in self.nearest)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"nearest": [asdict(neighbour) for neighbour in self.nearest]}


def prior_words(prior: float, *, named: bool = False) -> str:
    """What probabilities take for granted, as tables, JSON and contact sheets say it.

    Args:
        prior: how often a pair shows one person before its distance is seen, in (0, 1).
        named: pairs show classes, not people.
    """
    odds = "as likely as not" if prior == 0.5 else f"{100 * prior:.3g} % likely"
    shown = "class" if named else "person"
    return f"Probabilities assume that each image was {odds} to show the {shown} beforehand (prior {prior:g})."


def in_per_cent(probability: float, digits: int = 0) -> str:
    """A probability inside (0, 1) in per cent, never rounded to 0 or 100: 0.97 is "97", 0.996 is ">99", 0.004 "<1".

    Args:
        probability: inside (0, 1).
        digits: behind the point; with one, 0.9996 is ">99.9".
    """
    shown = f"{100 * probability:.{digits}f}"
    smallest = 10**-digits
    if float(shown) >= 100:
        return f">{100 - smallest:.{digits}f}"
    return f"<{smallest:.{digits}f}" if float(shown) <= 0 else shown
