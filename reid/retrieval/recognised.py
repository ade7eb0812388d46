"""Which class a picture shows: the classes of its nearest references, or none of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import DataError
from reid.files import write_text
from reid.retrieval.class_table import class_name
from reid.retrieval.embeddings import BoolArray, Embeddings, FloatArray, IntArray
from reid.retrieval.ranking import Ranking
from reid.retrieval.search import Blocks, block_rows, nearest

NONE_OF_THESE = "none of these"
"""Stands for a class whose reference is not near enough."""


@dataclass(frozen=True)
class Recognised:
    """The nearest references of each query, nearest first; of equally near ones the earlier row.

    A class stands as often as it has references among them, as in TAO.

    Attributes:
        rows: int64 [Q, k], of the references.
        pids: int64 [Q, k], their classes.
        distances: float32 [Q, k], squared Euclidean, on unit vectors in [0, 4].
        threshold: from which distance on a reference says nothing; None for no limit.
    """

    rows: IntArray
    pids: IntArray
    distances: FloatArray
    threshold: float | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def accepted(self) -> BoolArray:
        """bool [Q, k], references nearer than the threshold; a query whose first is not shows none of the classes."""
        limit = np.inf if self.threshold is None else self.threshold
        near: BoolArray = self.distances < limit
        return near

    @property
    def num_unknown(self) -> int:
        """Queries that show none of the classes."""
        return int(np.count_nonzero(~self.accepted[:, 0]))

    def names(self, classes: Mapping[int, str]) -> list[list[str]]:
        """Names [Q][k]; `NONE_OF_THESE` from the threshold on."""
        return [
            [class_name(classes, pid) if near else NONE_OF_THESE for pid, near in zip(*pair, strict=True)]
            for pair in zip(self.pids.tolist(), self.accepted.tolist(), strict=True)
        ]

    def to_list(self, paths: Sequence[str], classes: Mapping[int, str]) -> list[dict[str, Any]]:
        """Plain JSON, one entry a query: the answer (None for none of these) and all neighbours, far ones too."""
        return [
            {
                "img_path": path,
                "class": class_name(classes, pids[0]) if near[0] else None,
                "nearest": [
                    {"class": class_name(classes, pid), "distance": distance, "row": row}
                    for pid, distance, row in zip(pids, distances, rows, strict=True)
                ],
            }
            for path, pids, near, distances, rows in zip(
                paths, self.pids.tolist(), self.accepted.tolist(), _shortest(self.distances), self.rows.tolist(),
                strict=True,
            )
        ]  # fmt: skip


def recognise(
    query: FloatArray,
    references: Embeddings,
    *,
    topk: int = 1,
    threshold: float | None = None,
    l2_normalise: bool = True,
    memory_bytes: int = 2**30,
) -> Recognised:
    """Finds the nearest references of each query, exactly, block by block.

    Args:
        query: float32 [Q, D], at least one.
        references: with their classes.
        topk: references for each query.
        threshold: distance from which on a query shows none of the classes; None to always name one.
        l2_normalise: compare unit vectors, as TAO does.
        memory_bytes: working memory beside both sides and the result.

    Raises:
        DataError: there are fewer references than `topk`, the dimensions differ, or a vector has no direction.
    """
    if topk > len(references):
        raise DataError(
            f"the nearest {topk} are asked of {len(references)} reference{'' if len(references) == 1 else 's'}",
            "each answer is the class of one reference",
            f"ask for {len(references)} or fewer with inference.topk, or give more references",
        )
    blocks = _blocks(references.vectors, block_rows(references.dim, memory_bytes))
    distances, rows = nearest(query, blocks, topk, l2_normalise=l2_normalise, memory_bytes=memory_bytes)
    return Recognised(rows, references.pids[rows], distances, threshold)


def recognised_by(ranking: Ranking, references: Embeddings, *, topk: int = 1) -> Recognised:
    """The nearest references of each query of a ranking, after whatever it leaves out or ranks otherwise.

    Args:
        ranking: of queries against `references`.
        references: with their classes.
        topk: references for each query; of fewer, as many as every query has among the nearest that the ranking keeps.
    """
    shown = min(topk, int((ranking.top_indices >= 0).sum(axis=1).min()))
    rows = ranking.top_indices[:, :shown]
    return Recognised(rows, references.pids[rows], ranking.top_distances[:, :shown])


def write_result_csv(path: Path, images: Sequence[str], recognised: Recognised, classes: Mapping[int, str]) -> None:
    """TAO's `result.csv`, whole or not at all: no header; image path, list of class names, list of distances.

    The lists are Python's, of equal length, nearest first. From the threshold on a name is `NONE_OF_THESE`.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    answers = zip(images, recognised.names(classes), _shortest(recognised.distances), strict=True)
    writer.writerows((image, str(names), str(distances)) for image, names, distances in answers)
    write_text(path, buffer.getvalue())


def _blocks(vectors: FloatArray, size: int) -> Blocks:
    return ((start, vectors[start : start + size]) for start in range(0, len(vectors), size))


def _shortest(distances: FloatArray) -> Iterator[list[float]]:
    """Each row as numbers of as few digits as tell float32 values apart."""
    return ([float(str(distance)) for distance in row] for row in distances)
