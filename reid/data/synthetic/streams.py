"""Random streams: each thing that is drawn has one of its own, found by its place in the data set."""

from __future__ import annotations

import numpy as np


def stream(seed: int, *place: int) -> np.random.Generator:
    """The stream of one thing, whatever was drawn before it and by which process.

    Args:
        seed: of the data set.
        place: numbers, none negative, that no other thing has.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, *place]))
