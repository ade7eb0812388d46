"""Which query of one evaluation is which of another, by the ends of their paths that tell all queries apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from reid.errors import DataError

_Key = tuple[tuple[str, ...], int, int]

BY_ROW = "Neither evaluation names its pictures, so queries are paired by their row."


@dataclass(frozen=True)
class ScoredQuery:
    """A query as an evaluation left it in `queries.csv`.

    Attributes:
        path: of its picture; empty where it was not known.
        pid: identity.
        camid: camera.
        first_match_rank: from 1; None where it has no match, as the next.
        average_precision: in (0, 1].
    """

    path: str
    pid: int
    camid: int
    first_match_rank: int | None
    average_precision: float | None


def pair_queries(
    a: Sequence[ScoredQuery], b: Sequence[ScoredQuery]
) -> tuple[list[tuple[ScoredQuery, ScoredQuery]], tuple[str, ...]]:
    """Each query of A with the same one of B, in the order of A, and what the reader should know of the pairing.

    A query is known by its identity, its camera and the end of its path: the base name alone where that tells all
    queries of either side apart, else with as many folders above it as that takes. So the folders of two machines may
    differ, and `day0/1.jpg` is never taken for `day1/1.jpg`. Where neither side has paths, rows are paired.

    Raises:
        DataError: a query of one side is not in the other, a whole path stands for several queries, or only one side
            has paths.
    """
    named_a, named_b = (any(one.path for one in side) for side in (a, b))
    if named_a != named_b:
        raise DataError(
            f"the queries of {'A' if named_a else 'B'} have paths, and those of {'B' if named_a else 'A'} have none",
            "nothing tells which query of the one is which of the other",
            "evaluate both on embeddings with the paths of their pictures, or both without",
        )
    if named_a:
        keys_a, keys_b = _telling_keys(a, b)
        notes: tuple[str, ...] = ()
    else:
        keys_a, keys_b = _row_keys(a), _row_keys(b)
        notes = (BY_ROW,)
    by_key = dict(zip(keys_b, b, strict=True))
    missing = [one for one, key in zip(a, keys_a, strict=True) if key not in by_key]
    if missing or len(a) != len(b):
        example = f"; the first that B lacks is {_called(missing[0])}" if missing else ""
        raise DataError(
            f"A has {len(a)} queries and B {len(b)}, and {len(a) - len(missing)} are the same by the "
            f"{'row' if notes else 'end of their path'}, identity and camera{example}",
            "a query can only be compared with itself",
            "evaluate both on the same query images",
        )
    return [(one, by_key[key]) for one, key in zip(a, keys_a, strict=True)], notes


def _telling_keys(a: Sequence[ScoredQuery], b: Sequence[ScoredQuery]) -> tuple[list[_Key], list[_Key]]:
    """Keys of both sides with the shortest end of a path, in parts, that repeats none on either side."""
    deepest = max(len(PurePath(one.path).parts) for one in (*a, *b))
    for parts in range(1, max(deepest, 1) + 1):
        keys = [[(PurePath(one.path).parts[-parts:], one.pid, one.camid) for one in side] for side in (a, b)]
        repeated = [(name, Counter(side).most_common(1)[0]) for name, side in zip("AB", keys, strict=True) if side]
        if all(count == 1 for _, (_, count) in repeated):
            return keys[0], keys[1]
    name, ((path, pid, camid), count) = max(repeated, key=lambda found: found[1][1])
    raise DataError(
        f"{count} queries of {name} are the picture {PurePath(*path)} of identity {pid} under camera {camid}",
        "nothing tells which of them is which query of the other evaluation",
        "give each query picture a path of its own, each of them once, and evaluate both again",
    )


def _row_keys(queries: Sequence[ScoredQuery]) -> list[_Key]:
    return [((str(row),), one.pid, one.camid) for row, one in enumerate(queries)]


def _called(query: ScoredQuery) -> str:
    return query.path or f"one of identity {query.pid} under camera {query.camid}"
