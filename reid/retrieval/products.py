"""Squared Euclidean distances of two sets of vectors, by blocks of rows, by the means of one device."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from reid.retrieval.blocks import Block
from reid.retrieval.compiled import add_squares
from reid.retrieval.embeddings import FloatArray


class Products(Protocol):
    """Distances of two sets of vectors, by the means of one device."""

    bytes_per_pair: int
    """Memory that distances and the ranking of a block need for each pair of images."""

    def rows(self, start: int, stop: int) -> Block:
        """float32 [stop - start, G] of |q|^2 + |g|^2 - 2 q.g, clamped at zero against rounding; freshly allocated."""
        ...


def products_of(query: FloatArray, gallery: FloatArray, *, device: str) -> Products:
    """Distances computed where the device, as torch names it, is; "cpu" needs no torch."""
    if device == "cpu":
        return HostProducts(query, gallery)
    from reid.retrieval.tensors import TensorProducts

    return TensorProducts(query, gallery, device)


class HostProducts:
    """Squared Euclidean distances of float32 [Q, D] and [G, D] on the CPU: one matrix product and one pass a block."""

    bytes_per_pair = 5  # the distance, and what the passes keep beside it

    def __init__(self, query: FloatArray, gallery: FloatArray) -> None:
        self._query, self._gallery = query, np.ascontiguousarray(gallery)
        self._query_squares, self._gallery_squares = (np.einsum("nd,nd->n", side, side) for side in (query, gallery))

    def rows(self, start: int, stop: int) -> FloatArray:
        """float32 [stop - start, G]."""
        block = minus_two_products(self._query[start:stop], self._gallery)
        add_squares(block, self._query_squares[start:stop], self._gallery_squares)
        return block


_TILE = 4
"""Rows of a product come in multiples of this. With other numbers of rows BLAS sums the last columns in another order:
two equal gallery vectors get distances that differ in the last bit, and a tie is none."""


def minus_two_products(rows: FloatArray, others: FloatArray) -> FloatArray:
    """-2 a.b of float32 [b, D] and [n, D]: float32 [b, n], freshly allocated; equal vectors give equal products."""
    padded = np.zeros((-(-len(rows) // _TILE) * _TILE, rows.shape[1]), np.float32)
    np.multiply(rows, -2.0, out=padded[: len(rows)])
    products: FloatArray = padded @ others.T  # [b, D] [D, n] -> [b, n]
    return products[: len(rows)]
