"""Recognition figures: counted by hand, and equal to pytorch-metric-learning's AccuracyCalculator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reid.errors import DataError
from reid.retrieval.class_table import class_table
from reid.retrieval.clusters import ClusterAgreement, cluster_agreement, kmeans_clusters
from reid.retrieval.embeddings import Embeddings, normalise
from reid.retrieval.recognition import measure_recognition, query_recognition
from tests.retrieval.scenes import Scene, at_ranks, on_a_line

_GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "golden" / "embeddings_a.npz"
_TAO = {
    "precision_at_1": "Precision at Rank 1",
    "mean_average_precision": "Mean Average Precision",
    "mean_reciprocal_rank": "Mean Reciprocal Rank",
    "r_precision": "r-Precision",
}


def test_hits_at_ranks_1_and_3_of_3_references_are_counted_by_hand():
    """R = k = 3: AP = (1/1 + 2/3) / 3, the match at rank 5 being beyond k; two of the nearest three are right."""
    figures = _figures(at_ranks(1, 3, 5, size=6))
    assert figures == pytest.approx(
        {"Precision at Rank 1": 1, "Mean Average Precision": 5 / 9, "Mean Reciprocal Rank": 1, "r-Precision": 2 / 3}
    )


def test_a_first_match_beyond_k_has_no_reciprocal_rank():
    """k is 1, the one reference; it stands at rank 2."""
    assert _figures(at_ranks(2, size=3)) == pytest.approx(
        {"Precision at Rank 1": 0, "Mean Average Precision": 0, "Mean Reciprocal Rank": 0, "r-Precision": 0}
    )


def test_k_is_the_largest_class_that_is_asked_for():
    """Class 7 has three references, 8 one and 9 five; only 7 and 8 are asked for, so k = 3 and 8's rank 3 counts."""
    gallery = [(1, 7, 0), (2, 7, 0), (3, 8, 0), (4, 7, 0), *((step, 9, 0) for step in range(5, 10))]
    scene = on_a_line(gallery, query=[(7, 0), (8, 0)])
    ranking = scene.rank(exclude="none")
    assert measure_recognition(ranking, scene.query).k == 3
    assert query_recognition(ranking).reciprocal_rank.tolist() == pytest.approx([1, 1 / 3])


def test_averaged_over_classes_a_class_of_many_queries_counts_once():
    """Three queries of class 7 are right and one of class 8 is wrong: 3/4 of the queries, 1/2 of the classes."""
    scene = on_a_line([(1, 7, 0), (2, 8, 0)], query=[(7, 0), (7, 0), (7, 0), (8, 0)])
    ranking = scene.rank(exclude="none")
    assert measure_recognition(ranking, scene.query).precision_at_1 == 0.75
    assert measure_recognition(ranking, scene.query, average="classes").precision_at_1 == 0.5


def test_queries_of_a_class_without_references_count_in_no_figure():
    scene = on_a_line([(1, 7, 0), (2, 9, 0)], query=[(7, 0), (8, 0)])
    metrics = measure_recognition(scene.rank(exclude="none"), scene.query)
    assert (metrics.precision_at_1, metrics.num_queries, metrics.num_scored, metrics.num_classes) == (1.0, 2, 1, 1)


def test_no_class_in_common_is_refused():
    scene = on_a_line([(1, 9, 0)])
    with pytest.raises(DataError, match="none of 1 queries is of a class that has a reference"):
        measure_recognition(scene.rank(exclude="none"), scene.query)


def test_a_prefix_is_set_as_tao_sets_it():
    scene = at_ranks(1, size=2)
    metrics = measure_recognition(scene.rank(), scene.query, clusters=ClusterAgreement(ami=0.5, nmi=0.75))
    assert list(metrics.figures("val")) == [*(f"val {name}" for name in _TAO.values()), "val_AMI", "val_NMI"]
    assert metrics.figures()["AMI"] == 0.5


@pytest.mark.parametrize("average", ["queries", "classes"])
@pytest.mark.parametrize("exclude", ["none", "same_image"])
def test_all_figures_equal_those_of_pytorch_metric_learning(exclude, average):
    """Its neighbours by brute force on unit vectors; leaving out the own image is its `ref_includes_query`."""
    query, gallery = _classes(np.random.default_rng(4), own=exclude == "same_image")
    _compare(Scene(query, gallery, l2_normalise=True), exclude, average)


@pytest.mark.skipif(not _GOLDEN.is_file(), reason="../shared/data/golden is not on this machine")
def test_figures_of_a_published_network_equal_those_of_pytorch_metric_learning():
    with np.load(_GOLDEN) as arrays:
        sides = []
        for name, rows in (("query", 300), ("gallery", 4000)):
            kept = np.flatnonzero(arrays[f"{name}_pid"] > 0)[:rows]
            pids = arrays[f"{name}_pid"][kept].astype(np.int64)
            sides.append(Embeddings(arrays[name][kept].astype(np.float32), pids, 0 * pids))
    _compare(Scene(*sides, l2_normalise=True), "none", "queries")


def test_classes_that_are_clusters_agree_fully_and_random_ones_hardly():
    rng = np.random.default_rng(0)
    pids = np.repeat(np.arange(1, 6), 20)
    apart = Embeddings((np.eye(5)[pids - 1] + rng.normal(0, 0.01, (100, 5))).astype(np.float32), pids, 0 * pids)
    agreement = cluster_agreement(apart, seed=1)
    assert (agreement.ami, agreement.nmi) == pytest.approx((1, 1))
    mixed = Embeddings(apart.vectors, rng.permutation(pids), apart.camids)
    assert abs(cluster_agreement(mixed, seed=1).ami) < 0.1


def test_a_collapsed_network_has_one_cluster_and_no_agreement():
    pids = np.array([1, 1, 2, 2])
    same = Embeddings(np.ones((4, 3), np.float32), pids, 0 * pids)
    assert cluster_agreement(same).nmi == pytest.approx(0)


def test_the_class_table_counts_by_hand():
    """On a line, all queries at 0: the nearest reference is of class 8, so class 8 is right and class 7 never."""
    scene = on_a_line([(1, 8, 0), (2, 7, 0), (3, 7, 0), (4, 9, 0)], query=[(7, 0), (7, 0), (8, 0), (5, 0)])
    table = class_table(scene.rank(exclude="none"), scene.query, scene.gallery, {7: "pear", 8: "fig", 9: "kiwi"})
    # k = 2. Pear's matches stand at ranks 2 and 3, of which only the first is near: AP = (1/2) / 2.
    assert table.rows() == [
        ("5", 0, 1, "", "", "", 0),
        ("pear", 2, 2, 0.0, 0.25, "fig", 2),
        ("fig", 1, 1, 1.0, 1.0, "", 0),
        ("kiwi", 1, 0, "", "", "", 0),
    ]
    assert table.confusions.rows(table.names) == [("pear", "fig", 2), ("fig", "fig", 1)]
    assert table.confusions.wrong().rows(table.names) == [("pear", "fig", 2)]


def test_the_weakest_classes_are_those_with_the_most_wrong_answers():
    """References of classes 1, 2 and 3 at 1, 2 and 3; a query stands at the reference that it is taken for."""
    asked = [(1, 1), (1, 2), (2, 2), (2, 2), (3, 1), (3, 1), (3, 2), (4, 1)]  # true class, answer; 4 has no reference
    pids, places = np.array(asked).T
    query = Embeddings(places[:, None].astype(np.float32), pids, 0 * pids)
    gallery = Embeddings(np.array([[1.0], [2.0], [3.0]], np.float32), np.arange(1, 4), np.zeros(3, np.int64))
    table = class_table(Scene(query, gallery).rank(exclude="none"), query, gallery, {1: "fig", 2: "kiwi", 3: "pear"})

    assert table.weakest(5) == "pear 0.0% (taken for fig), fig 50.0% (taken for kiwi)"
    assert table.weakest(1) == "pear 0.0% (taken for fig)"


def test_the_most_frequent_confusion_of_a_class_is_named():
    """Class 1 is taken for 2 once and for 3 twice."""
    query = Embeddings(np.array([[2.0], [3.0], [3.1]], np.float32), np.array([1, 1, 1]), np.zeros(3, np.int64))
    gallery = Embeddings(np.array([[9.0], [2.0], [3.0]], np.float32), np.array([1, 2, 3]), np.zeros(3, np.int64))
    table = class_table(Scene(query, gallery).rank(exclude="none"), query, gallery, {})
    assert (table.classes[0].confused_with, table.classes[0].confusions) == (3, 2)


def _figures(scene: Scene) -> dict[str, float]:
    return measure_recognition(scene.rank(exclude="none"), scene.query).figures()


def _classes(rng: np.random.Generator, *, own: bool) -> tuple[Embeddings, Embeddings]:
    """200 references of 12 classes of unequal size, and 50 queries, some of a class without any other image."""
    pids = rng.choice(np.arange(1, 13), 200, p=np.arange(1, 13) / 78)
    vectors = (rng.normal(size=(13, 8))[pids] + rng.normal(size=(200, 8))).astype(np.float32)
    gallery = Embeddings(vectors, pids, 0 * pids, tuple(f"{row}.jpg" for row in range(200)))
    if own:
        return Embeddings(vectors[:50], pids[:50], 0 * pids[:50], gallery.paths[:50]), gallery
    asked = rng.integers(1, 15, 50)
    paths = tuple(f"q{row}.jpg" for row in range(50))
    return Embeddings(rng.normal(size=(50, 8)).astype(np.float32), asked, 0 * asked, paths), gallery


def _compare(scene: Scene, exclude: str, average: str) -> None:
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    query, gallery = scene.query, scene.gallery
    clusters = torch.from_numpy(kmeans_clusters(query, seed=3))
    calculator = AccuracyCalculator(
        include=(*_TAO, "AMI", "NMI"),
        avg_of_avgs=average == "classes",
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
        kmeans_func=lambda vectors, count: clusters if count == len(np.unique(query.pids)) else None,
    )
    expected = calculator.get_accuracy(
        *(torch.from_numpy(part) for part in (normalise(query.vectors), query.pids)),
        *(torch.from_numpy(part) for part in (normalise(gallery.vectors), gallery.pids)),
        ref_includes_query=exclude == "same_image",
    )
    ranking = scene.rank(exclude=exclude)
    found = measure_recognition(ranking, query, average=average, clusters=cluster_agreement(query, seed=3))
    wanted = {_TAO.get(name, name): value for name, value in expected.items()}
    assert found.figures() == pytest.approx(wanted, abs=1e-6)
