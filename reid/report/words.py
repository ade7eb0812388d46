"""What a page calls that which two pictures have in common: one person, or one class."""

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
    """

    one: str
    others: str
    identity: str
    image: str


PEOPLE = Words(one="person", others="people", identity="identity", image="gallery image")
CLASSES = Words(one="class", others="classes", identity="class", image="reference")
