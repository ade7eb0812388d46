"""Everything that is measured of recognition on one ranking, in one object for files, pictures and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reid.retrieval.class_table import ClassTable, class_table
from reid.retrieval.clusters import cluster_agreement
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.open_set import OpenSet, measure_open_set
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognised import Recognised, recognised_by
from reid.retrieval.recognition import Average, RecognitionMetrics, measure_recognition


@dataclass(frozen=True)
class Recognition:
    """What a ranking of references is worth.

    Attributes:
        metrics: headline figures.
        table: class by class.
        answers: the nearest references of each query.
        open_set: from which distance on a query shows none of the classes; None where it cannot be measured.
    """

    metrics: RecognitionMetrics
    table: ClassTable
    answers: Recognised
    open_set: OpenSet | None = None

    def to_dict(self, prefix: str = "") -> dict[str, Any]:
        """What `metrics.json` says of it: plain JSON, figures under TAO's names."""
        metrics = self.metrics
        return {
            **metrics.figures(prefix),
            "average_over": metrics.average,
            "k": metrics.k,
            "classes": len(self.table.classes),
            "classes_scored": metrics.num_classes,
            "open_set": self.open_set.to_dict() if self.open_set else None,
        }


def evaluate_recognition(
    ranking: Ranking,
    query: Embeddings,
    gallery: Embeddings,
    names: Mapping[int, str],
    *,
    average: Average = "queries",
    topk: int = 1,
    l2_normalise: bool = True,
    seed: int = 0,
    memory_bytes: int = 2**30,
) -> Recognition:
    """Measures a ranking of references.

    Args:
        ranking: of query against gallery.
        query: vectors and labels of the queries.
        gallery: labels of the references.
        names: of the classes.
        average: over queries, or over classes.
        topk: references that are listed for each query.
        l2_normalise: unit vectors are clustered and compared.
        seed: of the clusters.
        memory_bytes: working memory of a block of distances.

    Raises:
        DataError: no query's class has a reference.
    """
    clusters = cluster_agreement(query, l2_normalise=l2_normalise, seed=seed)
    metrics = measure_recognition(ranking, query, average=average, clusters=clusters)
    # A query that is a reference itself would be nearest to itself.
    apart = ranking.exclude == "none"
    limit = measure_open_set(query, gallery, l2_normalise=l2_normalise, memory_bytes=memory_bytes) if apart else None
    answers = recognised_by(ranking, gallery, topk=topk)
    return Recognition(metrics, class_table(ranking, query, gallery, names), answers, limit)
