"""Sampled matches show exactly what the ranking says."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text
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


class Tile:
    """What was drawn for one place of the page."""

    def __init__(self, artists):
        (self.patch,) = [artist for artist in artists if isinstance(artist, Rectangle)]
        self.images = [artist for artist in artists if isinstance(artist, AxesImage)]
        self.texts = [artist.get_text() for artist in artists if isinstance(artist, Text)]
        self.frame = to_hex(self.patch.get_edgecolor()).upper()

    @property
    def pixels(self):
        (image,) = self.images
        return image.get_array()

    @property
    def level(self):
        return int(self.pixels[0, 0, 0])


def _tiles(figure):
    """By row, then column; the query's first."""
    places = {}
    for artist in figure.axes[0].get_children():
        if artist.get_gid():
            places.setdefault(tuple(map(int, artist.get_gid().split(","))), []).append(artist)
    return [Tile(places[place]) for place in sorted(places)]


def test_frames_marks_ranks_distances_and_labels_follow_the_ranking(paths):
    # One query, by steps: a stranger at 1, the query's own camera at 2 (left out), a match at 3.
    scene = on_a_line([(3, 7, 2), (1, 9, 2), (2, 7, 1)])
    figure = draw_matches(
        scene.rank(), [paths[30]], paths[:3], query_labels=["id 7"], gallery_labels=["a", "b", "c"], protocol="by hand"
    )
    query, first, second, third = _tiles(figure)
    assert [tile.frame for tile in _tiles(figure)] == [BLUE, RED, GREEN, PALE]
    assert query.texts == ["query, AP 50 %\nid 7"]
    assert first.texts == ["rank 1: 1.000\nb", WRONG_MARK]
    assert second.texts == ["rank 2: 9.000\na", RIGHT_MARK]
    assert third.texts == ["", "no further\ncandidate"]
    assert [tile.level for tile in (query, first, second)] == [180, 6, 0]
    assert "by hand" in [text.get_text() for text in figure.texts]


def test_average_precision_under_a_query_has_the_form_of_the_figures(paths):
    scene = on_a_line([(1, 9, 2), (2, 7, 2)])  # one match, at rank 2: 1/2, or by trapezoids (1/2 + 0/1) / 2
    shown = [
        _tiles(draw_matches(scene.rank(), paths[:1], paths[:2], form=form))[0].texts for form in ("sum", "trapezoid")
    ]
    assert shown == [["query, AP 50 %"], ["query, AP 25 %"]]


def test_every_tile_is_the_gallery_image_of_that_rank(paths):
    scene = scattered(3, queries=5, gallery=40)
    ranking = scene.rank(top_k=6)
    figure = draw_matches(ranking, paths[:5], paths, rows=5, columns=6)
    for q in range(5):
        tiles = _tiles(figure)[7 * q + 1 : 7 * q + 7]
        assert [tile.level // 6 for tile in tiles] == ranking.top_indices[q].tolist()
        assert [tile.frame == GREEN for tile in tiles] == ranking.top_matches[q].tolist()


def test_queries_are_chosen_by_seed_among_those_with_a_match(paths):
    scene = on_a_line([(1, 7, 2), (2, 8, 2)], query=[(7, 1), (5, 1), (8, 1), (6, 1), (7, 3), (8, 3)])
    ranking = scene.rank()

    def chosen(seed):
        figure = draw_matches(ranking, paths[:6], paths[:2], rows=2, seed=seed)
        return [tile.level // 6 for tile in _tiles(figure)[::3]]

    picks = [chosen(seed) for seed in range(12)]
    assert all(pick == sorted(pick) and set(pick) <= {0, 2, 4, 5} for pick in picks)
    assert len({tuple(pick) for pick in picks}) > 1
    assert picks[3] == chosen(3)


@pytest.mark.parametrize(("rows", "columns", "tiles"), [(2, 3, 2 * 4), (10, 10, 6 * 9), (1, 1, 2)])
def test_the_page_has_no_more_rows_and_columns_than_there_are_queries_and_ranks(paths, rows, columns, tiles):
    scene = on_a_line([(step, 7, 2) for step in range(1, 9)], query=[(7, 1)] * 6)
    figure = draw_matches(scene.rank(), paths[:6], paths[:8], rows=rows, columns=columns)
    assert len(_tiles(figure)) == tiles


def test_missing_and_unreadable_pictures_get_a_plate_and_keep_their_frame(paths, tmp_path):
    damaged = tmp_path / "in" / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8 not a picture")
    scene = on_a_line([(1, 7, 2), (2, 9, 2)])
    figure = draw_matches(scene.rank(), [paths[0]], [damaged, tmp_path / "nowhere.jpg"])
    for tile, colour in zip(_tiles(figure)[1:], (GREEN, RED), strict=True):
        assert tile.frame == colour
        assert not tile.images
        assert "no\npicture" in tile.texts


def test_large_photographs_are_shrunk_before_they_are_drawn(tmp_path):
    Image.new("RGB", (1500, 3000)).save(tmp_path / "large.jpg")
    figure = draw_matches(on_a_line([(1, 7, 2)]).rank(), [tmp_path / "large.jpg"], [tmp_path / "large.jpg"])
    assert _tiles(figure)[0].pixels.shape == (320, 160, 3)


def test_a_wide_picture_keeps_its_shape_within_its_place(paths, tmp_path):
    Image.new("RGB", (64, 32)).save(tmp_path / "wide.png")
    figure = draw_matches(on_a_line([(1, 7, 2)]).rank(), [paths[0]], [tmp_path / "wide.png"])
    query, candidate = _tiles(figure)
    left, right, bottom, top = candidate.images[0].get_extent()
    assert right - left == pytest.approx(2 * (top - bottom))
    assert candidate.patch.get_width() == pytest.approx(query.patch.get_width()) == right - left
    middle = query.patch.get_y() + query.patch.get_height() / 2
    assert (bottom + top) / 2 == pytest.approx(middle)


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
    assert [tile.level for tile in _tiles(figure)] == [0, 0]
