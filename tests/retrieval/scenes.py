"""Small retrievals whose ranking can be read off a line, and random ones for comparison with the oracles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid.retrieval.distance import EuclideanDistance
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.ranking import Ranking, rank
from tests import oracles


@dataclass(frozen=True)
class Scene:
    """Query and gallery; vectors are compared as they are unless `l2_normalise`."""

    query: Embeddings
    gallery: Embeddings
    l2_normalise: bool = False

    def rank(self, **options: Any) -> Ranking:
        distances = EuclideanDistance(self.query, self.gallery, l2_normalise=self.l2_normalise)
        return rank(distances, self.query, self.gallery, **options)

    def oracle_lists(self) -> list[list[tuple[int, bool]]]:
        """For each query, (gallery row, is a match), nearest first."""
        matrix = oracles.squared_distances(self.query.vectors, self.gallery.vectors, l2_normalise=self.l2_normalise)
        return [
            oracles.ranked(row, pid, camid, self.gallery.pids.tolist(), self.gallery.camids.tolist())
            for row, pid, camid in zip(matrix, self.query.pids.tolist(), self.query.camids.tolist(), strict=True)
        ]


def on_a_line(gallery: Sequence[tuple[int, int, int]], query: Sequence[tuple[int, int]] = ((7, 1),)) -> Scene:
    """Gallery images at whole steps from all queries: (steps, pid, camid); queries as (pid, camid)."""
    steps, pids, camids = zip(*gallery, strict=True)
    return Scene(
        _embeddings([[1.0]] * len(query), *zip(*query, strict=True)),
        _embeddings([[1.0 + step] for step in steps], pids, camids),
    )


def at_ranks(*hits: int, size: int) -> Scene:
    """One query whose matches stand at these ranks of a gallery of `size`; the others show somebody else."""
    return on_a_line([(k, 7 if k in hits else 9, 2) for k in range(1, size + 1)])


def scattered(seed: int, *, queries: int = 12, gallery: int = 40, ties: bool = False) -> Scene:
    """Random people under random cameras, some of them distractors; `ties` puts them on few lattice points."""
    rng = np.random.default_rng(seed)

    def vectors(count: int) -> np.ndarray:
        return rng.integers(1, 4, (count, 2)) if ties else rng.normal(size=(count, 6))

    return Scene(
        _embeddings(vectors(queries), rng.integers(1, 6, queries), rng.integers(1, 4, queries)),
        _embeddings(vectors(gallery), rng.integers(0, 6, gallery), rng.integers(1, 4, gallery)),
        l2_normalise=not ties,
    )


def _embeddings(vectors: object, pids: object, camids: object) -> Embeddings:
    return Embeddings(np.asarray(vectors, np.float32), np.asarray(pids, np.int64), np.asarray(camids, np.int64))
