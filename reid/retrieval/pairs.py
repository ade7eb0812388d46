"""Which pairs of query and gallery image show one person, and which of those a query's ranking leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.labels import DISTRACTOR_PID
from reid.retrieval.embeddings import BoolArray, Embeddings, IntArray

StringArray = npt.NDArray[np.str_]

Exclude = Literal["same_camera", "same_image", "none"]
"""What a query's ranking leaves out: its identity under its own camera, the query's own image, or nothing."""


@dataclass(frozen=True)
class LabelledPairs:
    """The pairs of equal identity, query by query (CSR); every other pair shows two people.

    Attributes:
        offsets: int64 [Q + 1]; the pairs of query q are rows[offsets[q]:offsets[q + 1]].
        rows: int64 [E], gallery rows, ascending in each query.
        excluded: bool [E], True where the pair is left out of the ranking.
        is_match: bool [E], True where the pair is a right answer.
    """

    offsets: IntArray
    rows: IntArray
    excluded: BoolArray
    is_match: BoolArray

    def block(self, start: int, stop: int, wanted: BoolArray) -> tuple[IntArray, IntArray]:
        """Offsets int64 [b + 1] and gallery rows of the wanted pairs (bool [E]) of some queries."""
        begin, end = self.offsets[start], self.offsets[stop]
        part = wanted[begin:end]
        return _before(part)[self.offsets[start : stop + 1] - begin], self.rows[begin:end][part]

    def offsets_of(self, wanted: BoolArray) -> IntArray:
        """Offsets int64 [Q + 1] of the wanted pairs (bool [E]) alone."""
        return _before(wanted)[self.offsets]


def label_pairs(query: Embeddings, gallery: Embeddings, exclude: Exclude) -> LabelledPairs:
    """Finds the pairs of one identity; time and memory grow with their number and with Q + G.

    Raises:
        DataError: images are to be told apart, and a side has no paths.
    """
    by_pid = np.argsort(gallery.pids, kind="stable")
    sorted_pids = gallery.pids[by_pid]
    first = np.searchsorted(sorted_pids, query.pids, side="left")
    counts = np.searchsorted(sorted_pids, query.pids, side="right") - first
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    query_of_pair = np.repeat(np.arange(len(query)), counts)
    rows = by_pid[np.arange(offsets[-1]) - np.repeat(offsets[:-1] - first, counts)]
    excluded = _excluded(query, gallery, query_of_pair, rows, exclude)
    return LabelledPairs(offsets, rows, excluded, ~excluded & (query.pids[query_of_pair] != DISTRACTOR_PID))


def _before(flags: BoolArray) -> IntArray:
    """int64 [n + 1], how many are True before each position."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])


def _excluded(
    query: Embeddings, gallery: Embeddings, query_of_pair: IntArray, rows: IntArray, exclude: Exclude
) -> BoolArray:
    if exclude == "none":
        return np.zeros(len(rows), np.bool_)
    same: BoolArray = query.camids[query_of_pair] == gallery.camids[rows]
    if exclude == "same_camera":
        return same
    if not query.paths or not gallery.paths:
        raise DataError(
            "evaluate.exclude=same_image, and the embeddings have no image paths",
            "without paths no gallery image can be told to be the query's own",
            "write the embeddings with a path for each row, or use evaluate.exclude=same_camera or none",
        )
    query_names, gallery_names = _names(query.paths, gallery.paths)
    own: BoolArray = same & (query_names[query_of_pair] == gallery_names[rows])
    return own


def _names(query: Sequence[str], gallery: Sequence[str]) -> tuple[StringArray, StringArray]:
    """What tells an image: its path where the sides have some in common, else, of copies elsewhere, its base name."""
    if set(query).isdisjoint(gallery):
        query, gallery = ([PurePath(path).name for path in side] for side in (query, gallery))
    return np.array(query), np.array(gallery)
