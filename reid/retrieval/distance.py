"""Distances between query and gallery, in blocks of query rows so that the full matrix need never exist."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from reid.errors import DataError
from reid.retrieval.blocks import Block
from reid.retrieval.embeddings import Embeddings, FloatArray, normalise
from reid.retrieval.products import products_of


class DistanceRows(Protocol):
    """Distances of some queries to the whole gallery; smaller is nearer, never negative."""

    name: str
    num_queries: int
    num_gallery: int
    largest: float  # no distance is larger
    bytes_per_pair: int  # memory that a block needs for each pair of images

    def rows(self, start: int, stop: int) -> Block:
        """float32 [stop - start, G], freshly allocated: the caller may write into it."""
        ...


def euclidean_name(*, l2_normalise: bool) -> str:
    """What protocols call the distance."""
    return "euclidean_l2_normalised" if l2_normalise else "euclidean"


class EuclideanDistance:
    """Squared Euclidean distance, on L2-normalised vectors unless told otherwise.

    On normalised vectors it is 2 - 2 cos, so it ranks exactly as cosine similarity does.

    Args:
        query: Q embeddings.
        gallery: G embeddings of the same dimension.
        l2_normalise: scale each vector to unit length first.
        device: where the products are computed, as torch names it; "cpu" needs no torch.

    Raises:
        DataError: the two sides have different dimensions.
    """

    def __init__(
        self, query: Embeddings, gallery: Embeddings, *, l2_normalise: bool = True, device: object = "cpu"
    ) -> None:
        check_same_dimension(query, gallery)
        self.name = euclidean_name(l2_normalise=l2_normalise)
        self.num_queries, self.num_gallery, self.dim = len(query), len(gallery), query.dim
        sides = comparable_vectors(query, gallery, l2_normalise=l2_normalise)
        self.largest = 4.0 if l2_normalise else _power_of_two_above(sum(map(_longest, sides)) ** 2)
        self._products = products_of(*sides, device=str(device))
        self.bytes_per_pair = self._products.bytes_per_pair

    def rows(self, start: int, stop: int) -> Block:
        """float32 [stop - start, G] of |q|^2 + |g|^2 - 2 q.g, clamped at zero against rounding."""
        return self._products.rows(start, stop)


def comparable_vectors(query: Embeddings, gallery: Embeddings, *, l2_normalise: bool) -> tuple[FloatArray, FloatArray]:
    """Both sides as float32, so that |q|^2 + |g|^2 - 2 q.g keeps its precision.

    Vectors that lie far from the origin and near each other would lose it in that difference, so both sides are moved
    by the gallery's mean then: no distance changes. Others stay as they are.
    """
    sides = [side.vectors for side in (query, gallery)]
    if l2_normalise:
        sides = [normalise(side) for side in sides]
    centre = sides[1].mean(axis=0, dtype=np.float64)
    offset = float(centre @ centre)
    spread = float(np.einsum("nd,nd->n", sides[1], sides[1]).mean(dtype=np.float64)) - offset
    if offset > _FAR * max(spread, 0.0):
        moved = centre.astype(np.float32)
        sides = [side - moved for side in sides]
    return sides[0], sides[1]


_FAR = 16  # squared distance of the gallery's mean from the origin, in mean squared distances from that mean


def _longest(side: FloatArray) -> float:
    return math.sqrt(np.einsum("nd,nd->n", side, side).max())


def _power_of_two_above(value: float) -> float:
    """The bins of a histogram that ends at a power of two have edges without rounding."""
    return math.ldexp(1.0, math.frexp(value)[1]) if value > 0 else 1.0


def check_same_dimension(query: Embeddings, gallery: Embeddings) -> None:
    """Raises DataError where query and gallery have different dimensions."""
    if query.dim != gallery.dim:
        raise DataError(
            f"query embeddings have {query.dim} numbers, gallery embeddings {gallery.dim}",
            "a distance needs vectors of one dimension",
            "embed both sides with the same checkpoint and the same model.feat_dim",
        )
