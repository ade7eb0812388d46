"""A published network's embeddings of the whole Market-1501 test set give the figures that others got from them."""

from pathlib import Path

import numpy as np
import pytest

from reid.retrieval.distance import DistanceRows, EuclideanDistance
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.metrics import RetrievalMetrics, measure
from reid.retrieval.ranking import rank
from reid.retrieval.rerank import KReciprocalDistance

_FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "golden" / "embeddings_a.npz"
_PLAIN = {"mAP": 0.5549, "cmc_rank_1": 0.8441, "cmc_rank_5": 0.9317, "cmc_rank_10": 0.9552}
_RERANKED = {"mAP": 0.7621, "cmc_rank_1": 0.8786, "cmc_rank_5": 0.9273, "cmc_rank_10": 0.9457}


@pytest.fixture(scope="module")
def sides() -> tuple[Embeddings, Embeddings]:
    if not _FILE.is_file():
        pytest.skip("../shared/data/golden is not on this machine")
    with np.load(_FILE) as arrays:
        return _side(arrays, "query"), _side(arrays, "gallery")


def test_plain_figures_equal_the_golden_row(sides):
    metrics = _measure(EuclideanDistance(*sides), sides)
    assert _rounded(metrics) == _PLAIN
    assert (metrics.num_queries, metrics.num_scored) == (3368, 3368)


def test_reranked_figures_equal_the_golden_row(sides):
    assert _rounded(_measure(KReciprocalDistance(*sides, k1=20, k2=6, lambda_value=0.3), sides)) == _RERANKED


def test_junk_is_dropped_and_distractors_stay(sides):
    _, gallery = sides
    assert (len(gallery), int((gallery.pids == 0).sum())) == (15_913, 2_798)


def _side(arrays: np.lib.npyio.NpzFile, name: str) -> Embeddings:
    keep = arrays[f"{name}_pid"] >= 0
    return Embeddings(
        arrays[name][keep].astype(np.float32),
        arrays[f"{name}_pid"][keep].astype(np.int64),
        arrays[f"{name}_camid"][keep].astype(np.int64),
    )


def _measure(distances: DistanceRows, sides: tuple[Embeddings, Embeddings]) -> RetrievalMetrics:
    return measure(rank(distances, *sides))


def _rounded(metrics: RetrievalMetrics) -> dict[str, float]:
    figures = metrics.figures()
    return {name: round(figures[name], 4) for name in _PLAIN}
