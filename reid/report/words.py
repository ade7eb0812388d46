"""What pages call that which two pictures have in common, one person or one class, and names cut to fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The nouns of a page.

    Attributes:
        one: of an identity: "person", as in "the same person".
        others: of different ones: "people", as in "different people".
        identity: of the label: "identity", as in "another identity".
        image: of the gallery: "gallery image".
        among: all of those: "in the gallery".
    """

    one: str
    others: str
    identity: str
    image: str
    among: str


PEOPLE = Words(one="person", others="people", identity="identity", image="gallery image", among="in the gallery")
CLASSES = Words(one="class", others="classes", identity="class", image="reference", among="among the references")


def shortened(name: str, longest: int = 26) -> str:
    """A name of at most that many characters: a longer one keeps both ends, since names often differ in the last."""
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{name[-tail:]}"
