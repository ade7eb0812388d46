"""Sampled matches show exactly what the ranking says."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from reid.errors import DataError
from reid.report.canvas import BLUE, GREEN, PALE, RED
from reid.report.matches import RIGHT_MARK, WRONG_MARK, draw_matches, plot_matches
from tests.retrieval.scenes import on_a_line, scattered


@pytest.fixture
def paths(tmp_path):
    """Forty gallery pictures, each of one grey level, and a query picture."""
    (tmp_path / "in").mkdir()
    files = [tmp_path / "in" / f"{row:02}.png" for row in range(40)]
    for row, file in enumerate(files):
        Image.new("RGB", (32, 64), (6 * row,) * 3).save(file)
    return files


def _frame(axes):
    colours = {to_hex(spine.get_edgecolor()).upper() for spine in axes.spines.values()}
    assert len(colours) == 1
    return colours.pop()


def _texts(axes):
    return [text.get_text() for text in axes.texts]


def _level(axes):
    return int(axes.images[0].get_array()[0, 0, 0])


def test_frames_marks_ranks_distances_and_labels_follow_the_ranking(paths):
    # One query, by steps: a stranger at 1, the query's own camera at 2 (left out), a match at 3.
    scene = on_a_line([(3, 7, 2), (1, 9, 2), (2, 7, 1)])
    figure = draw_matches(
        scene.rank(), [paths[30]], paths[:3], query_labels=["id 7"], gallery_labels=["a", "b", "c"], protocol="by hand"
    )
    query, first, second, third = figure.axes
    assert [_frame(axes) for axes in figure.axes] == [BLUE, RED, GREEN, PALE]
    assert _texts(query) == ["query, AP 50 %\nid 7"]
    assert _texts(first) == [WRONG_MARK, "rank 1: 1.000\nb"]
    assert _texts(second) == [RIGHT_MARK, "rank 2: 9.000\na"]
    assert _texts(third) == ["no further\ncandidate", ""]
    assert [_level(axes) for axes in (query, first, second)] == [180, 6, 0]
    assert "by hand" in [text.get_text() for text in figure.texts]


def test_average_precision_under_a_query_has_the_form_of_the_figures(paths):
    scene = on_a_line([(1, 9, 2), (2, 7, 2)])  # one match, at rank 2: 1/2, or by trapezoids (1/2 + 0/1) / 2
    shown = [
        _texts(draw_matches(scene.rank(), paths[:1], paths[:2], form=form).axes[0]) for form in ("sum", "trapezoid")
    ]
    assert shown == [["query, AP 50 %"], ["query, AP 25 %"]]


def test_every_tile_is_the_gallery_image_of_that_rank(paths):
    scene = scattered(3, queries=5, gallery=40)
    ranking = scene.rank(top_k=6)
    figure = draw_matches(ranking, paths[:5], paths, rows=5, columns=6)
    for q in range(5):
        tiles = figure.axes[7 * q + 1 : 7 * q + 7]
        assert [_level(axes) // 6 for axes in tiles] == ranking.top_indices[q].tolist()
        assert [_frame(axes) == GREEN for axes in tiles] == ranking.top_matches[q].tolist()


def test_queries_are_chosen_by_seed_among_those_with_a_match(paths):
    scene = on_a_line([(1, 7, 2), (2, 8, 2)], query=[(7, 1), (5, 1), (8, 1), (6, 1), (7, 3), (8, 3)])
    ranking = scene.rank()

    def chosen(seed):
        figure = draw_matches(ranking, paths[:6], paths[:2], rows=2, seed=seed)
        return [_level(axes) // 6 for axes in figure.axes[::3]]

    picks = [chosen(seed) for seed in range(12)]
    assert all(pick == sorted(pick) and set(pick) <= {0, 2, 4, 5} for pick in picks)
    assert len({tuple(pick) for pick in picks}) > 1
    assert picks[3] == chosen(3)


@pytest.mark.parametrize(("rows", "columns", "tiles"), [(2, 3, 2 * 4), (10, 10, 6 * 9), (1, 1, 2)])
def test_the_page_has_no_more_rows_and_columns_than_there_are_queries_and_ranks(paths, rows, columns, tiles):
    scene = on_a_line([(step, 7, 2) for step in range(1, 9)], query=[(7, 1)] * 6)
    figure = draw_matches(scene.rank(), paths[:6], paths[:8], rows=rows, columns=columns)
    assert len(figure.axes) == tiles


def test_missing_and_unreadable_pictures_get_a_plate_and_keep_their_frame(paths, tmp_path):
    damaged = tmp_path / "in" / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8 not a picture")
    scene = on_a_line([(1, 7, 2), (2, 9, 2)])
    figure = draw_matches(scene.rank(), [paths[0]], [damaged, tmp_path / "nowhere.jpg"])
    for axes, colour in zip(figure.axes[1:], (GREEN, RED), strict=True):
        assert _frame(axes) == colour
        assert not axes.images
        assert "no\npicture" in _texts(axes)


def test_large_photographs_are_shrunk_before_they_are_drawn(tmp_path):
    Image.new("RGB", (1500, 3000)).save(tmp_path / "large.jpg")
    figure = draw_matches(on_a_line([(1, 7, 2)]).rank(), [tmp_path / "large.jpg"], [tmp_path / "large.jpg"])
    assert figure.axes[0].images[0].get_array().shape == (320, 160, 3)


def test_the_page_is_written_as_a_png_of_a_sensible_size(paths, tmp_path):
    scene = scattered(4, queries=12, gallery=40)
    target = tmp_path / "evaluate" / "sampled_matches.png"
    plot_matches(scene.rank(), paths[:12], paths, target, protocol="long " * 60)
    with Image.open(target) as image:
        image.load()
        assert image.format == "PNG"
        assert 1000 < image.width < 2000
        assert 1500 < image.height < 4000
    assert target.stat().st_size < 8_000_000


def test_nothing_is_written_when_no_query_has_a_match(paths, tmp_path):
    scene = on_a_line([(1, 9, 2)])
    with pytest.raises(DataError, match="none of 1 queries has a match"):
        plot_matches(scene.rank(), [paths[0]], [paths[1]], tmp_path / "out" / "matches.png")
    assert not (tmp_path / "out").exists()


def test_paths_of_another_data_set_are_refused(paths):
    with pytest.raises(DataError, match="2 paths for 1 queries"):
        draw_matches(on_a_line([(1, 7, 2)]).rank(), paths[:2], paths[:1])


def test_a_query_without_match_is_never_shown_even_when_rows_remain(paths):
    scene = on_a_line([(1, 7, 2)], query=[(7, 1), (5, 1)])
    figure = draw_matches(scene.rank(), paths[:2], paths[:1], rows=10)
    assert np.unique([_level(axes) for axes in figure.axes]).tolist() == [0]
    assert len(figure.axes) == 2
