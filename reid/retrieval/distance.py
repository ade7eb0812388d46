"""Distances between query and gallery, in blocks of query rows so that the full matrix need never exist."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from reid.errors import DataError
from reid.retrieval.blocks import Block
from reid.retrieval.embeddings import Embeddings, normalise
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
        self.name = "euclidean_l2_normalised" if l2_normalise else "euclidean"
        self.num_queries, self.num_gallery, self.dim = len(query), len(gallery), query.dim
        sides = [query.vectors, gallery.vectors]
        if l2_normalise:
            sides = [normalise(side) for side in sides]
        longest = [float(np.einsum("nd,nd->n", side, side).max()) ** 0.5 for side in sides]
        self.largest = 4.0 if l2_normalise else sum(longest) ** 2
        self._products = products_of(*sides, device=str(device))
        self.bytes_per_pair = self._products.bytes_per_pair

    def rows(self, start: int, stop: int) -> Block:
        """float32 [stop - start, G] of |q|^2 + |g|^2 - 2 q.g, clamped at zero against rounding."""
        return self._products.rows(start, stop)


def check_same_dimension(query: Embeddings, gallery: Embeddings) -> None:
    """Raises DataError where query and gallery have different dimensions."""
    if query.dim != gallery.dim:
        raise DataError(
            f"query embeddings have {query.dim} numbers, gallery embeddings {gallery.dim}",
            "a distance needs vectors of one dimension",
            "embed both sides with the same checkpoint and the same model.feat_dim",
        )
