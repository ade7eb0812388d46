"""Query expansion and database augmentation: a vector is replaced by a mean of itself and its nearest neighbours.

Sources: Chum et al., Total Recall, ICCV 2007 (average query expansion, AQE); Radenovic et al., Fine-tuning CNN Image
Retrieval with No Human Annotation, TPAMI 2018 (alpha-QE); Turcot and Lowe, Better Matching with Fewer Features, ICCV
workshops 2009 (database augmentation, DBA). As there, neighbours are found on L2-normalised vectors. No label is looked
at, so the camera rule does not apply: a deployed system has no labels either.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reid.errors import DataError
from reid.retrieval.embeddings import Embeddings, FloatArray, IntArray, normalise
from reid.retrieval.search import nearest

_BYTES_PER_NUMBER = 24  # of the vectors averaged at once: sums, a neighbour of each, and their product
_LARGEST_BLOCK = 64 * 2**20  # bytes: more gains nothing
_SHORTEST_MEAN = 1e-6  # a mean of opposite vectors points nowhere


def expand_queries(
    query: Embeddings,
    gallery: Embeddings,
    *,
    k: int,
    alpha: float | None = None,
    memory_bytes: int = 2**30,
) -> Embeddings:
    """Replaces each query by the mean of itself and its k nearest gallery images.

    Args:
        query: Q embeddings.
        gallery: G embeddings, augmented or not.
        k: neighbours; all of a smaller gallery.
        alpha: None: all weigh the same (AQE). Else a neighbour weighs max(cos, 0) ** alpha and the query 1 (alpha-QE);
            0 gives AQE again.
        memory_bytes: working memory beside the vectors.

    Returns:
        Q embeddings of unit length with the queries' labels.

    Raises:
        DataError: k is below 1, alpha is negative, or the two sides have different dimensions.
    """
    if query.dim != gallery.dim:
        raise DataError(
            f"query embeddings have {query.dim} numbers, gallery embeddings {gallery.dim}",
            "a mean needs vectors of one dimension",
            "embed both sides with the same checkpoint",
        )
    if alpha is not None and alpha < 0:
        raise DataError(
            f"an alpha of {alpha:g} for alpha query expansion",
            "a negative exponent would let the farthest neighbours weigh most",
            "set evaluate.expansion_alpha=3, or 0 or more",
        )
    vectors = _means(
        normalise(query.vectors),
        normalise(gallery.vectors),
        k=_checked(k, "evaluate.expansion_k"),
        alpha=alpha,
        memory_bytes=memory_bytes,
    )
    return replace(query, vectors=vectors)


def augment_gallery(gallery: Embeddings, *, k: int, memory_bytes: int = 2**30) -> Embeddings:
    """Replaces each gallery vector by the mean of itself and its k nearest others.

    Args:
        gallery: G embeddings.
        k: neighbours; all others of a smaller gallery.
        memory_bytes: working memory beside the vectors.

    Returns:
        G embeddings of unit length with the gallery's labels.

    Raises:
        DataError: k is below 1.
    """
    unit = normalise(gallery.vectors)
    vectors = _means(
        unit,
        unit,
        k=_checked(k, "evaluate.augmentation_k"),
        alpha=None,
        memory_bytes=memory_bytes,
        others=True,
    )
    return replace(gallery, vectors=vectors)


def _checked(k: int, name: str) -> int:
    if k < 1:
        raise DataError(f"{name} is {k}", "a mean over neighbours needs at least one", f"set {name}=5, or 1 or more")
    return k


def _means(
    points: FloatArray,
    neighbours: FloatArray,
    *,
    k: int,
    alpha: float | None,
    memory_bytes: int,
    others: bool = False,
) -> FloatArray:
    """Unit vectors float32 [N, D]: each point plus its k nearest neighbours, weighted.

    Args:
        points: float32 [N, D], of unit length.
        neighbours: float32 [M, D], of unit length.
        k: neighbours of each point.
        alpha: of the weights; None: 1.
        memory_bytes: for the search of neighbours, and again for a block of means.
        others: the neighbours are the points, and none is a neighbour of itself.
    """
    k = min(k, len(neighbours) - others)
    if k == 0:
        return points
    _, rows = nearest(points, [(0, neighbours)], k + others, l2_normalise=False, memory_bytes=memory_bytes)
    if others:
        rows = _without_own(rows)
    means = np.empty_like(points)
    block = max(1, min(memory_bytes, _LARGEST_BLOCK) // (_BYTES_PER_NUMBER * points.shape[1]))
    for start in range(0, len(points), block):
        own = points[start : start + block]
        sums = own.astype(np.float64)
        for column in rows[start : start + block].T:  # one neighbour of each point at a time: all are [b, k, D]
            neighbour = neighbours[column]
            sums += neighbour if alpha is None else _weights(own, neighbour, alpha)[:, None] * neighbour
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        unit = sums / np.maximum(lengths, _SHORTEST_MEAN)
        means[start : start + block] = np.where(lengths > _SHORTEST_MEAN, unit, own)
    return means


def _weights(points: FloatArray, neighbours: FloatArray, alpha: float) -> FloatArray:
    """float32 [b] of max(cos, 0) ** alpha, for b pairs of unit vectors [b, D]."""
    cosines = np.einsum("bd,bd->b", points, neighbours)
    weights: FloatArray = np.maximum(cosines, np.float32(0)) ** np.float32(alpha)
    return weights


def _without_own(rows: IntArray) -> IntArray:
    """int64 [N, k] of int64 [N, k + 1]: row n loses n, or its last where k + 1 equal images stand before image n."""
    lost = rows == np.arange(len(rows))[:, None]
    lost[~lost.any(axis=1), -1] = True
    kept: IntArray = rows[~lost].reshape(len(rows), -1)
    return kept
