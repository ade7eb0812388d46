"""Two evaluations of one test set, query by query: by how much A is better than B, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reid.retrieval.intervals import PairedDifference, paired_difference
from reid.retrieval.query_pairs import ScoredQuery, pair_queries


@dataclass(frozen=True)
class QueryChange:
    """A query that both evaluations scored; attributes as of `ScoredQuery`, of A and of B."""

    path: str
    pid: int
    camid: int
    rank_a: int
    rank_b: int
    precision_a: float
    precision_b: float

    @property
    def gain(self) -> float:
        """Average precision of A minus that of B."""
        return self.precision_a - self.precision_b


@dataclass(frozen=True)
class Comparison:
    """What separates evaluation A from evaluation B.

    Attributes:
        name_a: how A is called.
        name_b: how B is called.
        differences: "mAP" and "cmc_rank_1" of A minus B, with a paired bootstrap over query identities.
        changes: all queries that both scored, the largest gain of A first, the largest loss last.
        unscored: queries without a match in one or both, which count nowhere.
        notes: what else differs between the evaluations.
        protocol: how they were measured, in words; a line for both, or one for each.
    """

    name_a: str
    name_b: str
    differences: dict[str, PairedDifference]
    changes: tuple[QueryChange, ...]
    unscored: int
    notes: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()

    @property
    def gained(self) -> tuple[QueryChange, ...]:
        """Queries where A is better, the largest gain first."""
        return tuple(one for one in self.changes if one.gain > 0)

    @property
    def lost(self) -> tuple[QueryChange, ...]:
        """Queries where B is better, the largest loss of A first."""
        return tuple(one for one in reversed(self.changes) if one.gain < 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "a": self.name_a,
            "b": self.name_b,
            "differences": {name: found.to_dict() for name, found in self.differences.items()},
            "queries_not_compared": self.unscored,
            "protocol": list(self.protocol),
            "notes": list(self.notes),
            "queries": [asdict(one) for one in self.changes],
        }


def compare_queries(
    a: Sequence[ScoredQuery],
    b: Sequence[ScoredQuery],
    *,
    name_a: str = "A",
    name_b: str = "B",
    notes: Sequence[str] = (),
    protocol: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Joins the queries of two evaluations (see `pair_queries`) and compares them.

    Args:
        a: queries of A.
        b: queries of B, in any order where they have paths.
        name_a: how A is called.
        name_b: how B is called.
        notes: kept with the comparison, as is the next.
        protocol: how both were measured, in words.
        resamples: of the bootstrap over identities.
        seed: of the bootstrap.

    Raises:
        DataError: a query of one is not in the other or cannot be told from another, or no query is scored by both.
    """
    pairs, pairing = pair_queries(a, b)
    pids = np.array([one.pid for one in a], np.int64)
    measured = {
        "mAP": [[_number(one.average_precision) for one in side] for side in zip(*pairs, strict=True)],
        "cmc_rank_1": [[_hit(one.first_match_rank) for one in side] for side in zip(*pairs, strict=True)],
    }
    differences = {
        name: paired_difference(np.array(of_a), np.array(of_b), pids, resamples=resamples, seed=seed)
        for name, (of_a, of_b) in measured.items()
    }
    changes = [change for pair in pairs if (change := _change(*pair)) is not None]
    changes.sort(key=lambda one: (-one.gain, one.path))
    return Comparison(
        name_a=name_a,
        name_b=name_b,
        differences=differences,
        changes=tuple(changes),
        unscored=len(a) - len(changes),
        notes=(*pairing, *notes),
        protocol=tuple(protocol),
    )


def _change(a: ScoredQuery, b: ScoredQuery) -> QueryChange | None:
    """None where one of them has no match."""
    if a.average_precision is None or b.average_precision is None:
        return None
    if a.first_match_rank is None or b.first_match_rank is None:
        return None
    return QueryChange(
        path=a.path,
        pid=a.pid,
        camid=a.camid,
        rank_a=a.first_match_rank,
        rank_b=b.first_match_rank,
        precision_a=a.average_precision,
        precision_b=b.average_precision,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _hit(rank: int | None) -> float:
    """1 for a match at rank 1; NaN without a match."""
    return math.nan if rank is None else float(rank == 1)
