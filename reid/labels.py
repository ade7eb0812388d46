"""Market-1501's labels: what a file name says of its picture, and the two special identities."""

from __future__ import annotations

import re

JUNK_PID = -1
"""Bad detections: dropped from training and evaluation, never a match and never a miss."""

DISTRACTOR_PID = 0
"""Background people: kept in the gallery, never a match."""

_NAME = re.compile(r"(-?[0-9]+)_c([0-9]+)")
_VIEW = re.compile(_NAME.pattern + r"(?:s[0-9]+)?_?v([0-9]+)")


def labels_of(name: str) -> tuple[int, int] | None:
    """Identity and camera that the base name of an image gives; None where it does not follow the naming."""
    match = _NAME.match(name)
    if match is None or int(match[1]) < JUNK_PID:
        return None
    return int(match[1]), int(match[2])


def view_of(name: str) -> int | None:
    """View that the base name of an image gives after its camera, as `0007_c2v3_...`, `0007_c2_v3`, `0007_c2s1v3` do.

    A view is the side from which the object is seen, such as 1 for the front and 2 for the back. None without one.
    """
    match = _VIEW.match(name)
    return None if match is None else int(match[3])
