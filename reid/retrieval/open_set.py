"""From which distance on a picture shows none of the known classes, measured by leaving each query's class out.

A threshold for pairs does not say it: where one wrong pair in a thousand is accepted, among a thousand references about
one is near enough, whatever the picture shows. So the nearest reference of all is looked at, once with the query's own
class among them, as for a known class, and once without it, as for an unknown one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from reid.retrieval.blocks import block_rows
from reid.retrieval.distance import EuclideanDistance
from reid.retrieval.embeddings import Embeddings, FloatArray
from reid.retrieval.metrics import Float64Array


@dataclass(frozen=True)
class OpenSet:
    """How well a limit on the nearest reference's distance tells known classes from unknown ones.

    Attributes:
        threshold: where both errors are as equal as they can be, halfway between two measured distances; a query whose
            nearest reference is at this distance or beyond shows none of the classes.
        known_accepted: part of the queries that have an answer there, be it right or wrong.
        unknown_accepted: part of the queries that have one though their class is left out.
        queries: queries measured: those whose class has a reference, and is not the only one that has.
    """

    threshold: float
    known_accepted: float
    unknown_accepted: float
    queries: int

    def to_dict(self) -> dict[str, float | int]:
        """Plain JSON."""
        return asdict(self)


def measure_open_set(
    query: Embeddings, gallery: Embeddings, *, l2_normalise: bool = True, memory_bytes: int = 2**30
) -> OpenSet | None:
    """The threshold of equal errors; None where no query can be measured.

    Args:
        query: Q queries.
        gallery: the references. They must not hold the query images themselves.
        l2_normalise: compare unit vectors.
        memory_bytes: working memory of one block of queries.

    Raises:
        DataError: the two sides cannot be compared, or one query's distances need more than that memory.
    """
    known, unknown = _nearest(query, gallery, l2_normalise, memory_bytes)
    measured = np.isin(query.pids, gallery.pids) & np.isfinite(unknown)
    if not measured.any():
        return None
    known, unknown = np.sort(known[measured]), np.sort(unknown[measured])
    limits = _between(np.unique(np.concatenate([known, unknown]).astype(np.float64)))
    known_accepted = np.searchsorted(known, limits) / len(known)  # those below each limit
    unknown_accepted = np.searchsorted(unknown, limits) / len(unknown)
    off = np.abs(1 - known_accepted - unknown_accepted)
    equal = np.flatnonzero(off <= off.min() + 1e-12)
    best = int(equal[len(equal) // 2])
    return OpenSet(float(limits[best]), float(known_accepted[best]), float(unknown_accepted[best]), len(known))


def _between(distances: Float64Array) -> Float64Array:
    """Limits halfway between neighbouring distances, and one beyond them all: no rounding of a distance crosses one.

    Args:
        distances: ascending, at least one.
    """
    beyond = distances[-1] + max(float(distances[-1]), 1e-6)
    limits: Float64Array = (distances + np.append(distances[1:], beyond)) / 2
    return limits


def _nearest(
    query: Embeddings, gallery: Embeddings, l2_normalise: bool, memory_bytes: int
) -> tuple[FloatArray, FloatArray]:
    """Distance of each query's nearest reference, and of its nearest of another class (infinite without one)."""
    distances = EuclideanDistance(query, gallery, l2_normalise=l2_normalise)
    size = block_rows(len(query), len(gallery), memory_bytes, bytes_per_pair=distances.bytes_per_pair)
    known, unknown = np.empty(len(query), np.float32), np.empty(len(query), np.float32)
    for start in range(0, len(query), size):
        stop = min(start + size, len(query))
        block = distances.rows(start, stop)
        known[start:stop] = block.min(axis=1)
        block[query.pids[start:stop, None] == gallery.pids] = np.inf  # [b, 1] == [G] -> [b, G]
        unknown[start:stop] = block.min(axis=1)
    return known, unknown
