"""The matrix of camera pairs, by hand and against a ranking of each camera's gallery alone."""

import json
from typing import Any

import numpy as np
import pytest

from reid.retrieval.cameras import MOST_CAMERAS, CameraPairs, camera_pairs
from reid.retrieval.evaluation import evaluate_ranking
from tests import oracles
from tests.retrieval.scenes import Scene, on_a_line, scattered


def _pairs(scene: Scene, **options) -> CameraPairs:
    return camera_pairs(scene.rank(**options), scene.query, scene.gallery)


def test_another_cameras_images_cost_no_rank_in_a_pair():
    # Whole gallery: wrong, wrong, right, right. Camera 2 alone: wrong, right. Camera 3 alone: wrong, right.
    pairs = _pairs(on_a_line([(1, 9, 2), (2, 9, 3), (3, 7, 2), (4, 7, 3)]))
    assert pairs.query_cameras.tolist() == [1]
    assert pairs.gallery_cameras.tolist() == [2, 3]
    assert pairs.mean_ap.tolist() == [[0.5, 0.5]]
    assert pairs.rank_1.tolist() == [[0.0, 0.0]]


def test_rank_1_of_a_pair_is_the_part_of_its_queries_whose_nearest_image_there_is_right():
    pairs = _pairs(on_a_line([(1, 7, 2), (2, 9, 2)], query=[(7, 1), (9, 1)]))
    assert pairs.rank_1.tolist() == [[0.5]]
    assert pairs.mean_ap.tolist() == [[(1 + 1 / 2) / 2]]
    assert pairs.num_queries.tolist() == [[2]]


def test_a_query_without_match_under_a_camera_counts_in_no_cell_of_it():
    pairs = _pairs(on_a_line([(1, 7, 2), (2, 9, 2), (3, 9, 3)], query=[(7, 1), (9, 1), (5, 4)]))
    assert pairs.num_queries.tolist() == [[2, 1], [0, 0]]
    assert np.isnan(pairs.mean_ap).tolist() == [[False, False], [True, True]]
    assert np.isnan(pairs.rank_1).tolist() == [[False, False], [True, True]]


def test_a_camera_paired_with_itself_has_no_value_under_the_camera_rule_and_one_without_it():
    scene = on_a_line([(1, 9, 1), (2, 7, 1)])
    assert np.isnan(_pairs(scene).mean_ap).all()
    assert _pairs(scene, exclude="none").mean_ap.tolist() == [[0.5]]


def test_the_form_of_average_precision_reaches_every_cell():
    scene = on_a_line([(1, 9, 2), (2, 7, 2)])
    pairs = camera_pairs(scene.rank(), scene.query, scene.gallery, form="trapezoid")
    assert pairs.mean_ap.tolist() == [[(0 / 1 + 1 / 2) / 2]]


def test_json_lists_the_pairs_with_a_scored_query_alone():
    cells = _pairs(on_a_line([(1, 7, 2), (2, 9, 3)])).cells()
    assert json.loads(json.dumps(cells, allow_nan=False)) == [
        {"query_camera": 1, "gallery_camera": 2, "queries": 1, "mAP": 1.0, "cmc_rank_1": 1.0}
    ]


def _under_as_many_cameras(count: int) -> dict[str, Any]:
    scene = on_a_line([(step, 7, 1 + step) for step in range(1, count + 1)])
    return evaluate_ranking(scene.rank(), scene.query, scene.gallery, resamples=0).to_dict()


def test_pairs_of_64_cameras_are_measured():
    facts = _under_as_many_cameras(MOST_CAMERAS)
    assert (len(facts["camera_pairs"]), facts["camera_pairs_left_out"]) == (64, None)


def test_pairs_of_65_cameras_are_left_out_with_a_reason():
    facts = _under_as_many_cameras(MOST_CAMERAS + 1)
    assert facts["camera_pairs"] is None
    assert facts["camera_pairs_left_out"] == (
        "Pairs of cameras are not measured: more than 64 cameras on a side (queries: 1, gallery: 65)."
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_cell_equals_a_ranking_of_that_cameras_images_alone(seed, ties):
    scene = scattered(seed, ties=ties)
    matrix = oracles.squared_distances(scene.query.vectors, scene.gallery.vectors, l2_normalise=scene.l2_normalise)
    labels = [list(zip(side.pids.tolist(), side.camids.tolist(), strict=True)) for side in (scene.query, scene.gallery)]
    pairs = _pairs(scene)
    for a, query_camera in enumerate(pairs.query_cameras.tolist()):
        for b, gallery_camera in enumerate(pairs.gallery_cameras.tolist()):
            mean_ap, rank_1, queries = oracles.camera_cell(matrix, *labels, (query_camera, gallery_camera))
            assert pairs.num_queries[a, b] == queries
            assert pairs.mean_ap[a, b] == pytest.approx(mean_ap, rel=1e-12, nan_ok=True)
            assert pairs.rank_1[a, b] == pytest.approx(rank_1, rel=1e-12, nan_ok=True)
