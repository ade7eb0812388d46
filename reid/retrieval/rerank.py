"""k-reciprocal re-ranking, sparse: exact, with memory that grows with the number of points and not with its square.

Source: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017; k1, k2 and lambda as
there. As in the authors' program, distances are squared Euclidean, divided by each point's largest distance, and k1 / 2
is rounded half to even. The authors keep several dense (Q + G) x (Q + G) matrices; here each point keeps its k1 + 1
nearest neighbours and its few k-reciprocal weights, computed in blocks.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from reid.retrieval.blocks import Block
from reid.retrieval.distance import check_same_dimension, comparable_vectors, euclidean_name
from reid.retrieval.embeddings import Embeddings, FloatArray
from reid.retrieval.neighbours import nearest_among
from reid.retrieval.products import products_of
from reid.retrieval.reciprocal import by_column, expand, mix_with_overlap, reciprocal_weights

log = logging.getLogger(__name__)


class KReciprocalDistance:
    """Re-ranked distance: (1 - lambda) * Jaccard distance of k-reciprocal neighbours + lambda * original distance.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        k1: neighbours in the k-reciprocal sets.
        k2: neighbours in the local query expansion; 1 switches it off.
        lambda_value: weight of the original distance, in [0, 1].
        l2_normalise: scale each vector to unit length first.
        device: where distances are computed, as torch names it; "cpu" needs no torch.
        memory_bytes: working memory of one block of distances.

    Raises:
        DataError: the two sides have different dimensions.
    """

    def __init__(
        self,
        query: Embeddings,
        gallery: Embeddings,
        *,
        k1: int = 20,
        k2: int = 6,
        lambda_value: float = 0.3,
        l2_normalise: bool = True,
        device: object = "cpu",
        memory_bytes: int = 2**30,
    ) -> None:
        began = time.perf_counter()
        check_same_dimension(query, gallery)
        vectors = np.concatenate(comparable_vectors(query, gallery, l2_normalise=l2_normalise))
        self.num_queries, self.num_gallery = len(query), len(gallery)
        self.largest = 1.0
        self.name = (
            f"k_reciprocal(k1={k1}, k2={k2}, lambda={lambda_value:g}) of {euclidean_name(l2_normalise=l2_normalise)}"
        )
        self._lambda = lambda_value
        if k1 >= len(vectors):
            log.warning(
                "re_ranking.k1 is %d, and there are %d points, query and gallery together: all are neighbours of each "
                "other, so that re-ranking tells nothing; give far fewer than there are images of a person",
                *(k1, len(vectors)),
            )
        keep = min(max(k1 + 1, k2), len(vectors))
        neighbours, largest = nearest_among(vectors, keep, device=str(device), memory_bytes=memory_bytes)
        weights = reciprocal_weights(vectors, neighbours, largest, k1=k1)
        self._weights = expand(weights, neighbours[:, :k2]) if k2 > 1 else weights
        self._gallery_weights = by_column(self._weights, first_row=self.num_queries)
        self._scale = (lambda_value / largest[: self.num_queries]).astype(np.float32)
        self._original = products_of(vectors[: self.num_queries], vectors[self.num_queries :], device=str(device))
        self.bytes_per_pair = self._original.bytes_per_pair
        log.info(
            "k-reciprocal neighbours of %d points: %.1f weights each, %.1f s",
            len(vectors),
            len(self._weights.columns) / len(vectors),
            time.perf_counter() - began,
        )

    def rows(self, start: int, stop: int) -> Block:
        """float32 [stop - start, G]."""
        block, scale = self._original.rows(start, stop), self._scale[start:stop]
        if isinstance(block, np.ndarray):
            self._mix(block, scale, start)
            return block
        from reid.retrieval.tensors import scale_and_add

        jaccard = np.zeros(tuple(block.shape), np.float32)
        self._mix(jaccard, scale, start)
        return scale_and_add(block, scale, jaccard)

    def _mix(self, block: FloatArray, scale: FloatArray, start: int) -> None:
        mix_with_overlap(block, scale, 1.0 - self._lambda, self._weights, start, self._gallery_weights)
