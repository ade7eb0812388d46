"""How probabilities are written: in per cent, and never as certainty."""

from __future__ import annotations

import pytest

from reid.retrieval.answers import in_per_cent


@pytest.mark.parametrize(
    ("probability", "digits", "words"),
    [
        (0.97, 0, "97"),
        (0.994, 0, "99"),
        (0.996, 0, ">99"),
        (0.006, 0, "1"),
        (0.004, 0, "<1"),
        (0.973, 1, "97.3"),
        (0.9994, 1, "99.9"),
        (0.9996, 1, ">99.9"),
        (0.0004, 1, "<0.1"),
    ],
)
def test_a_probability_never_reads_0_or_100_per_cent(probability: float, digits: int, words: str) -> None:
    assert in_per_cent(probability, digits) == words
