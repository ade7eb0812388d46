"""Who stands at which rank: the camera rule, distractors, ties, and blocks."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from reid.errors import DataError
from reid.retrieval.blocks import BlockLabels, BlockRanks, rank_block
from reid.retrieval.distance import EuclideanDistance
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.pairs import label_pairs
from reid.retrieval.ranking import HISTOGRAM_BINS, Ranking, rank
from tests import oracles
from tests.retrieval.scenes import Scene, at_ranks, on_a_line, scattered

RIGHT, WRONG = 7, 9  # identities; the query shows 7 under camera 1
OWN, OTHER = 1, 2  # cameras


def test_match_ranks_are_counted_from_1_at_the_nearest():
    ranking = at_ranks(1, 3, size=4).rank()
    assert ranking.ranks_of(0).tolist() == [1, 3]
    assert ranking.num_matches.tolist() == [2]


def test_same_camera_matches_are_left_out():
    ranking = on_a_line([(1, RIGHT, OWN), (2, WRONG, OTHER), (3, RIGHT, OTHER)]).rank()
    assert ranking.ranks_of(0).tolist() == [2]
    assert ranking.num_candidates.tolist() == [2]
    assert ranking.top_indices.tolist() == [[1, 2, -1]]


def test_other_people_under_the_query_camera_stay_in():
    assert on_a_line([(1, WRONG, OWN), (2, RIGHT, OTHER)]).rank().ranks_of(0).tolist() == [2]


def test_a_distractor_costs_a_rank_and_is_never_a_match():
    ranking = on_a_line([(1, 0, OTHER), (2, RIGHT, OTHER)]).rank()
    assert ranking.ranks_of(0).tolist() == [2]
    assert ranking.top_matches.tolist() == [[False, True]]


def test_a_query_that_is_itself_a_distractor_has_no_match():
    ranking = on_a_line([(1, 0, OTHER), (2, RIGHT, OTHER)], query=[(0, OWN)]).rank()
    assert ranking.num_matches.tolist() == [0]


def test_a_query_without_match_has_no_ranks_and_does_not_shift_its_neighbours():
    ranking = on_a_line([(1, WRONG, OTHER), (2, RIGHT, OTHER)], query=[(RIGHT, OWN), (5, OWN), (WRONG, OWN)]).rank()
    assert [ranking.ranks_of(q).tolist() for q in range(3)] == [[2], [], [1]]


def test_no_query_with_a_match_gives_an_empty_ranking_but_still_the_nearest_images():
    ranking = on_a_line([(2, WRONG, OTHER), (1, WRONG, OTHER)]).rank()
    assert ranking.match_ranks.size == 0
    assert ranking.top_indices.tolist() == [[1, 0]]


def test_everything_left_out_leaves_no_candidate():
    ranking = on_a_line([(1, RIGHT, OWN), (2, RIGHT, OWN)]).rank()
    assert ranking.num_candidates.tolist() == [0]
    assert ranking.top_indices.tolist() == [[-1, -1]]
    assert np.isinf(ranking.top_distances).all()
    assert not ranking.top_matches.any()


def test_at_equal_distance_the_wrong_image_stands_first():
    ranking = on_a_line([(1, RIGHT, OTHER), (1, WRONG, OTHER), (1, WRONG, OTHER)]).rank()
    assert ranking.ranks_of(0).tolist() == [3]
    assert ranking.top_indices.tolist() == [[1, 2, 0]]


def test_at_equal_distance_the_earlier_row_of_the_same_kind_stands_first():
    ranking = on_a_line([(2, WRONG, OTHER), (1, RIGHT, OTHER), (1, RIGHT, OTHER), (2, WRONG, OTHER)]).rank()
    assert ranking.top_indices.tolist() == [[1, 2, 0, 3]]


@pytest.mark.parametrize("top_k", [1, 2, 3, 4])
def test_a_tie_at_the_last_kept_place_keeps_what_the_tie_rule_puts_first(top_k):
    scene = on_a_line([(3, RIGHT, OTHER), (2, RIGHT, OTHER), (3, WRONG, OTHER), (3, WRONG, OTHER), (1, WRONG, OTHER)])
    assert scene.rank(top_k=top_k).top_indices.tolist() == [[4, 1, 2, 3][:top_k]]


def test_a_network_that_maps_all_images_to_one_point_puts_every_match_last():
    scene = scattered(0, queries=9, gallery=33)
    flat = [replace(side, vectors=np.full((len(side), 300), 0.37, np.float32)) for side in (scene.query, scene.gallery)]
    ranking = replace(scene, query=flat[0], gallery=flat[1]).rank()
    for q in range(9):
        total, hits = ranking.num_candidates[q], ranking.num_matches[q]
        assert ranking.ranks_of(q).tolist() == list(range(total - hits + 1, total + 1))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_ranking_equals_the_oracle(seed, ties):
    scene = scattered(seed, ties=ties)
    ranking = scene.rank(top_k=40)
    for q, expected in enumerate(scene.oracle_lists()):
        assert ranking.ranks_of(q).tolist() == [k + 1 for k, (_, hit) in enumerate(expected) if hit]
        assert ranking.num_candidates[q] == len(expected)
        left = ranking.top_indices[q] >= 0
        assert ranking.top_indices[q][left].tolist() == [row for row, _ in expected]
        assert ranking.top_matches[q][left].tolist() == [hit for _, hit in expected]


@pytest.mark.parametrize("top_k", [1, 3, 10, 40])
def test_pictures_and_figures_see_the_same_ranks(top_k):
    ranking = scattered(11, ties=True).rank(top_k=top_k)
    for q in range(ranking.num_queries):
        shown = np.flatnonzero(ranking.top_matches[q]) + 1
        ranks = ranking.ranks_of(q)
        assert shown.tolist() == ranks[ranks <= top_k].tolist()


def test_kept_distances_ascend_and_are_the_smallest_of_the_whole_gallery():
    scene = scattered(12)
    ranking, whole = scene.rank(top_k=5), scene.rank(top_k=40)
    np.testing.assert_array_equal(ranking.top_distances, whole.top_distances[:, :5])
    assert (np.diff(ranking.top_distances, axis=1) >= 0).all()


@pytest.mark.parametrize("memory_bytes", [5 * 40, 5 * 40 * 5])
def test_block_size_changes_nothing(memory_bytes):
    scene = scattered(13, ties=True)
    whole, blocks = scene.rank(), scene.rank(memory_bytes=memory_bytes)
    for field in fields(Ranking):
        np.testing.assert_array_equal(getattr(blocks, field.name), getattr(whole, field.name), err_msg=field.name)


@pytest.mark.parametrize("queries", [1, 2, 3, 5, 6, 7])
def test_equal_vectors_of_many_dimensions_tie_whatever_the_number_of_queries(queries):
    rng = np.random.default_rng(queries)
    for size in (37, 86, 307):  # a gallery of copies of five people's vectors; a match never stands before its copies
        people = rng.normal(size=(5, 256)).astype(np.float32)
        of = rng.integers(5, size=size)
        gallery = Embeddings(people[of], rng.integers(1, 4, size), np.full(size, 2))
        query = Embeddings(rng.normal(size=(queries, 256)).astype(np.float32), np.full(queries, 1), np.ones(queries))
        ranking = rank(EuclideanDistance(query, gallery), query, gallery)
        for q in range(queries):
            for row, at in zip(ranking.match_rows[ranking.match_offsets[q] :], ranking.ranks_of(q), strict=False):
                alike = (of == of[row]) & (gallery.pids != 1)
                assert at > alike.sum()


def test_one_far_away_point_for_everybody_scores_as_the_worst():
    point = np.random.default_rng(0).normal(size=256).astype(np.float32) + 50
    for size in (307, 308, 311):
        gallery = Embeddings(np.tile(point, (size, 1)), np.arange(size), np.full(size, 2))
        query = Embeddings(point[None], np.array([5]), np.array([1]))
        assert rank(EuclideanDistance(query, gallery), query, gallery).match_ranks.tolist() == [size]


@pytest.mark.parametrize("people", [1, 3, 30])
@pytest.mark.parametrize("cameras", [1, 6, 300])
def test_people_of_many_images_under_any_number_of_cameras_are_ranked_as_by_sorting(people, cameras):
    rng = np.random.default_rng(people + cameras)

    def side(count):
        pids, camids = rng.integers(1, people + 1, count), rng.integers(1, cameras + 1, count)
        return Embeddings(rng.integers(-3, 4, (count, 3)).astype(np.float32) + 0.5, pids, camids)

    query, gallery = side(6), side(300)
    distances = EuclideanDistance(query, gallery, l2_normalise=False)
    ranking = rank(distances, query, gallery)
    for q, row in enumerate(distances.rows(0, 6)):
        kept = np.flatnonzero((gallery.pids != query.pids[q]) | (gallery.camids != query.camids[q]))
        ordered = kept[np.lexsort((kept, gallery.pids[kept] == query.pids[q], row[kept]))]
        right = gallery.pids[ordered] == query.pids[q]
        own = slice(*ranking.match_offsets[q : q + 2])
        assert ranking.match_rows[own].tolist() == ordered[right].tolist()
        assert ranking.match_ranks[own].tolist() == (np.flatnonzero(right) + 1).tolist()
        in_camera = [
            int((gallery.camids[ordered[: at + 1]] == gallery.camids[ordered[at]]).sum())
            for at in np.flatnonzero(right)
        ]
        assert ranking.match_camera_ranks[own].tolist() == in_camera


def test_images_of_one_base_name_in_two_folders_are_two_images():
    query = Embeddings(np.ones((1, 2), np.float32), np.array([7]), np.array([1]), ("day1/0001.jpg",))
    gallery = Embeddings(
        np.ones((3, 2), np.float32), np.full(3, 7), np.ones(3, np.int64), ("day1/0001.jpg", "day2/0001.jpg", "x.jpg")
    )
    kept = rank(EuclideanDistance(query, gallery), query, gallery, exclude="same_image").match_rows
    assert kept.tolist() == [1, 2]


def test_copies_in_another_folder_are_the_querys_own_image_where_no_path_is_shared():
    query = Embeddings(np.ones((1, 2), np.float32), np.array([7]), np.array([1]), ("query/0001.jpg",))
    gallery = Embeddings(
        np.ones((2, 2), np.float32), np.full(2, 7), np.ones(2, np.int64), ("all/0001.jpg", "all/2.jpg")
    )
    kept = rank(EuclideanDistance(query, gallery), query, gallery, exclude="same_image").match_rows
    assert kept.tolist() == [1]


def test_a_memory_too_small_for_one_query_is_refused_with_one_that_works():
    with pytest.raises(DataError, match=r"evaluate.memory_gb=0.1") as refused:
        scattered(13).rank(memory_bytes=5 * 40 - 1)
    assert "gallery of 40 images" in refused.value.found


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("exclude", ["same_camera", "none"])
@pytest.mark.parametrize("top_k", [1, 7, 40])
def test_compiled_and_tensor_passes_give_the_same_integers(ties, exclude, top_k):
    scene = scattered(15, ties=ties)
    pairs = label_pairs(scene.query, scene.gallery, exclude)
    labels = BlockLabels(
        matches=pairs.block(2, 12, pairs.is_match),
        excluded=pairs.block(2, 12, pairs.excluded),
        counted=np.arange(10) != 3,
        camera_of_row=scene.gallery.camids,
        num_cameras=4,
    )
    results, histograms = [], []
    for placed in (np.asarray, torch.from_numpy):
        histogram = np.zeros(50, np.int64)
        block = EuclideanDistance(scene.query, scene.gallery, l2_normalise=scene.l2_normalise).rows(2, 12)
        results.append(rank_block(placed(block), labels, top_k=top_k, histogram=histogram, bins_per_unit=12.5))
        histograms.append(histogram)
    np.testing.assert_array_equal(*histograms)
    assert histograms[0].sum() > 0
    for field in fields(BlockRanks):
        np.testing.assert_array_equal(*(getattr(result, field.name) for result in results), err_msg=field.name)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [True, False])
def test_match_rows_distances_and_ranks_within_their_camera_are_those_of_a_sorted_list(seed, ties):
    scene = scattered(seed, ties=ties)
    ranking = scene.rank()
    matrix = oracles.squared_distances(scene.query.vectors, scene.gallery.vectors, l2_normalise=scene.l2_normalise)
    for q, ordered in enumerate(scene.oracle_lists()):
        own = slice(*ranking.match_offsets[q : q + 2])
        rows = [row for row, is_match in ordered if is_match]
        assert ranking.match_rows[own].tolist() == rows
        assert ranking.match_distances[own] == pytest.approx([matrix[q][row] for row in rows], abs=1e-5)
        cameras = scene.gallery.camids
        in_camera = [[other for other, _ in ordered if cameras[other] == cameras[row]].index(row) + 1 for row in rows]
        assert ranking.match_camera_ranks[own].tolist() == in_camera


def test_different_pairs_are_counted_by_distance_without_excluded_pairs_and_distractor_queries():
    scene = on_a_line(
        [(1, WRONG, OTHER), (2, RIGHT, OTHER), (2, RIGHT, OWN), (3, 0, OTHER)], query=[(RIGHT, OWN), (0, OWN)]
    )
    ranking = scene.rank()
    bins = [int(distance * HISTOGRAM_BINS / ranking.largest_distance) for distance in (1.0, 9.0)]
    assert ranking.different.sum() == 2
    assert ranking.different[bins].tolist() == [1, 1]


def test_without_exclusion_the_query_itself_comes_first():
    scene = on_a_line([(0, RIGHT, OWN), (2, RIGHT, OTHER), (1, WRONG, OTHER)])
    assert scene.rank(exclude="none").ranks_of(0).tolist() == [1, 3]


def test_same_image_leaves_out_the_query_picture_and_keeps_others_of_its_camera():
    line = on_a_line([(0, RIGHT, OWN), (1, RIGHT, OWN), (2, WRONG, OTHER)])
    query = replace(line.query, paths=("query/7_c1_a.jpg",))
    gallery = replace(line.gallery, paths=("test/7_c1_a.jpg", "test/7_c1_b.jpg", "test/9_c2_a.jpg"))
    ranking = Scene(query, gallery).rank(exclude="same_image")
    assert ranking.top_indices.tolist() == [[1, 2, -1]]
    assert ranking.ranks_of(0).tolist() == [1]


def test_same_image_without_paths_is_refused():
    with pytest.raises(DataError, match="no image paths"):
        at_ranks(1, size=3).rank(exclude="same_image")


def test_more_places_than_gallery_images_keeps_the_whole_gallery():
    ranking = at_ranks(2, size=3).rank(top_k=50)
    assert ranking.top_indices.tolist() == [[0, 1, 2]]


def test_a_gallery_of_one_image_can_be_ranked():
    assert at_ranks(1, size=1).rank().ranks_of(0).tolist() == [1]


def test_camera_numbers_of_two_digits_are_told_apart():
    scene = on_a_line([(1, RIGHT, 11), (2, RIGHT, 1)], query=[(RIGHT, 11)])
    assert scene.rank().top_indices.tolist() == [[1, -1]]


def test_the_order_of_query_images_changes_no_rank():
    scene = scattered(14, ties=True)
    order = np.random.default_rng(0).permutation(len(scene.query))
    turned = Embeddings(scene.query.vectors[order], scene.query.pids[order], scene.query.camids[order])
    ranking, other = scene.rank(), replace(scene, query=turned).rank()
    for new, old in enumerate(order):
        assert other.ranks_of(new).tolist() == ranking.ranks_of(old).tolist()
