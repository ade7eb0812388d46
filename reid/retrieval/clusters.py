"""Whether the classes are the clusters that k-means finds: adjusted and normalised mutual information.

Source: Vinh et al., Information Theoretic Measures for Clusterings Comparison, JMLR 2010; by scikit-learn, as
pytorch-metric-learning measures them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid.retrieval.embeddings import Embeddings, IntArray, normalise

_ROUNDS = 20  # of k-means at most, as many as TAO takes


@dataclass(frozen=True)
class ClusterAgreement:
    """How far classes and clusters agree.

    Attributes:
        ami: adjusted mutual information; 1 for the same parts, 0 on average for parts drawn by chance, so it can be
            a little below.
        nmi: normalised mutual information, in [0, 1]; rises with the number of classes alone.
    """

    ami: float
    nmi: float


def cluster_agreement(query: Embeddings, *, l2_normalise: bool = True, seed: int = 0) -> ClusterAgreement:
    """AMI and NMI of the queries' classes and of as many k-means clusters as there are classes.

    Args:
        query: vectors and labels of the queries, whether their classes have references or not.
        l2_normalise: cluster unit vectors.
        seed: of k-means' start; 20 rounds follow at most.

    Raises:
        DataError: a vector is all zero and is to be normalised.
    """
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    clusters = kmeans_clusters(query, l2_normalise=l2_normalise, seed=seed)
    return ClusterAgreement(
        ami=float(adjusted_mutual_info_score(query.pids, clusters)),
        nmi=float(normalized_mutual_info_score(query.pids, clusters)),
    )


def kmeans_clusters(query: Embeddings, *, l2_normalise: bool = True, seed: int = 0) -> IntArray:
    """int64 [Q], the cluster of each query; the arguments are those of `cluster_agreement`."""
    from sklearn.cluster import KMeans

    vectors = normalise(query.vectors) if l2_normalise else query.vectors
    parts = min(len(np.unique(query.pids)), len(np.unique(vectors, axis=0)))  # a collapsed network has fewer points
    found = KMeans(parts, n_init=1, max_iter=_ROUNDS, random_state=seed).fit_predict(vectors)
    clusters: IntArray = found.astype(np.int64)
    return clusters
