"""Distances between query and gallery, in blocks of query rows so that the full matrix need never exist."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings, FloatArray, IntArray, normalise


class DistanceRows(Protocol):
    """Distances of some queries to the whole gallery; smaller is nearer, never negative."""

    name: str
    num_queries: int
    num_gallery: int
    largest: float  # no distance is larger
    device: torch.device

    def rows(self, start: int, stop: int) -> Tensor:
        """float32 [stop - start, G], freshly allocated: the caller may write into it."""
        ...


class EuclideanDistance:
    """Squared Euclidean distance, on L2-normalised vectors unless told otherwise.

    On normalised vectors it is 2 - 2 cos, so it ranks exactly as cosine similarity does.

    Args:
        query: Q embeddings.
        gallery: G embeddings of the same dimension.
        l2_normalise: scale each vector to unit length first.
        device: where the products are computed.

    Raises:
        DataError: the two sides have different dimensions.
    """

    def __init__(
        self,
        query: Embeddings,
        gallery: Embeddings,
        *,
        l2_normalise: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        check_same_dimension(query, gallery)
        self.name = "euclidean_l2_normalised" if l2_normalise else "euclidean"
        self.num_queries, self.num_gallery, self.dim = len(query), len(gallery), query.dim
        self.device = torch.device(device)
        q, g = (normalise(e.vectors) if l2_normalise else e.vectors for e in (query, gallery))
        self._query = torch.from_numpy(np.ascontiguousarray(q)).to(self.device)  # [Q, D]
        self._gallery = torch.from_numpy(np.ascontiguousarray(g)).to(self.device)  # [G, D]
        self._query_squares = self._query.square().sum(dim=1)  # [Q]
        self._gallery_squares = self._gallery.square().sum(dim=1)  # [G]
        longest = [float(squares.max().sqrt()) for squares in (self._query_squares, self._gallery_squares)]
        self.largest = 4.0 if l2_normalise else sum(longest) ** 2

    def rows(self, start: int, stop: int) -> Tensor:
        """float32 [stop - start, G] of |q|^2 + |g|^2 - 2 q.g, clamped at zero against rounding."""
        block = torch.addmm(
            self._gallery_squares[None, :], self._query[start:stop], self._gallery.T, alpha=-2.0
        )  # [1, G] - 2 [b, D] [D, G] -> [b, G]
        return block.add_(self._query_squares[start:stop, None]).clamp_(min=0.0)

    def pairs(self, query_rows: IntArray, gallery_rows: IntArray) -> FloatArray:
        """float32 [E], distances of E chosen pairs."""
        q, g = (torch.from_numpy(rows).to(self.device) for rows in (query_rows, gallery_rows))
        products = (self._query[q] * self._gallery[g]).sum(dim=1)
        distances = self._query_squares[q] + self._gallery_squares[g] - 2 * products
        chosen: FloatArray = distances.clamp_(min=0.0).cpu().numpy()
        return chosen


def check_same_dimension(query: Embeddings, gallery: Embeddings) -> None:
    """Raises DataError where query and gallery have different dimensions."""
    if query.dim != gallery.dim:
        raise DataError(
            f"query embeddings have {query.dim} numbers, gallery embeddings {gallery.dim}",
            "a distance needs vectors of one dimension",
            "embed both sides with the same checkpoint and the same model.feat_dim",
        )
