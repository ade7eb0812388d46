"""The queries of a page with their ranked candidates, as plain values for its script; read from the Ranking alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from reid.report.thumbnails import Album
from reid.retrieval.answers import in_per_cent
from reid.retrieval.embeddings import Embeddings, IntArray
from reid.retrieval.evaluation import Evaluation
from reid.retrieval.ranking import Ranking

_LONGEST_NAME = 60  # characters of a file name that are shown


@dataclass(frozen=True)
class RankedLists:
    """Some queries, each with its nearest candidates.

    Attributes:
        ranking: of all queries.
        evaluation: of that ranking.
        query: labels and paths.
        gallery: labels and paths.
        rows: int64 [N], the queries that are listed.
        columns: how many candidates each shows; if none of them is a match, its first match is shown behind them.
    """

    ranking: Ranking
    evaluation: Evaluation
    query: Embeddings
    gallery: Embeddings
    rows: IntArray
    columns: int

    def paths_of(self, row: int) -> list[str]:
        """The pictures of one query: its own and those of its candidates; empty without paths."""
        own = [self.query.paths[row]] if self.query.paths else []
        return own + ([self.gallery.paths[g] for g in self._shown(row)] if self.gallery.paths else [])

    def values(self, album: Album | None = None) -> dict[str, Any]:
        """Plain JSON; pictures are positions in the album, -1 where there is none.

        `queries` is a list of records; each refers to the columns under `gallery` by position. `tiles` holds the
        candidates from rank 1 on: gallery position, distance, probability of one person as text in per cent (absent
        without verification), and a string of 1 (right) and 0 (wrong). `later` is the first match behind them.
        """
        shown = sorted({g for row in self.rows.tolist() for g in self._shown(row)})
        position = {g: p for p, g in enumerate(shown)}
        return {
            "queries": [self._record(row, position, album) for row in self.rows.tolist()],
            "gallery": {
                "pid": self.gallery.pids[shown].tolist(),
                "camera": self.gallery.camids[shown].tolist(),
                "name": [_name(self.gallery, g) for g in shown],
                "picture": [_picture(self.gallery, g, album) for g in shown],
            },
            "pictures": album.pictures if album else [],
        }

    def _record(self, row: int, position: dict[int, int], album: Album | None) -> dict[str, Any]:
        per_query = self.evaluation.per_query
        found = self._candidates(row)
        distances = self.ranking.top_distances[row, : len(found)]
        tiles: dict[str, Any] = {
            "gallery": [position[g] for g in found],
            "distance": [_rounded(distance) for distance in distances.tolist()],
            "right": "".join("01"[match] for match in self.ranking.top_matches[row, : len(found)].tolist()),
        }
        verification = self.evaluation.verification
        if verification:
            tiles["same"] = [in_per_cent(chance) for chance in verification.probability(distances).tolist()]
        matches = int(per_query.num_matches[row])
        return {
            "row": row,
            "pid": int(self.query.pids[row]),
            "camera": int(self.query.camids[row]),
            "name": _name(self.query, row),
            "picture": _picture(self.query, row, album),
            "ap": _rounded(float(per_query.average_precision[row])),
            "inp": _rounded(float(per_query.inverse_negative_penalty[row])),
            "first": int(per_query.first_match_rank[row]) if matches else None,
            "matches": matches,
            "tiles": tiles,
            "later": self._later_record(row, position),
        }

    def _later_record(self, row: int, position: dict[int, int]) -> dict[str, Any] | None:
        later = self._later(row)
        if later is None:
            return None
        distance = float(self.ranking.match_distances[later])
        verification = self.evaluation.verification
        return {
            "rank": int(self.ranking.match_ranks[later]),
            "gallery": position[int(self.ranking.match_rows[later])],
            "distance": _rounded(distance),
            "same": in_per_cent(float(verification.probability(distance))) if verification else None,
        }

    def _shown(self, row: int) -> list[int]:
        later = self._later(row)
        return self._candidates(row) + ([] if later is None else [int(self.ranking.match_rows[later])])

    def _candidates(self, row: int) -> list[int]:
        nearest: list[int] = self.ranking.top_indices[row, : self.columns].tolist()
        return [g for g in nearest if g >= 0]

    def _later(self, row: int) -> int | None:
        """Index of the first match among all matches, where it stands behind the shown candidates."""
        first, stop = self.ranking.match_offsets[row : row + 2].tolist()
        if first == stop or self.ranking.match_ranks[first] <= len(self._candidates(row)):
            return None
        return int(first)


def _name(side: Embeddings, row: int) -> str:
    name = PurePath(side.paths[row]).name if side.paths else f"row {row}"
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _picture(side: Embeddings, row: int, album: Album | None) -> int:
    return album.position(side.paths[row]) if album and side.paths else -1


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
