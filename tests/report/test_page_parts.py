"""What the page is made of: the choice of queries, the album, axes, curves, the matrix."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from reid.report.charts import average_precision_chart, cmc_chart, distance_chart, roc_chart
from reid.report.choice import by_interest, worst_first
from reid.report.matrix import MOST_CAMERAS, camera_matrices
from reid.report.svg import Axis, Chart, linear_axis
from reid.report.templating import counted, interval, percent
from reid.report.thumbnails import Album
from reid.retrieval.cameras import CameraPairs
from tests.report.pages import measured, noise, plain
from tests.retrieval.scenes import on_a_line, scattered


def test_three_of_four_places_go_to_the_worst_and_the_fourth_to_the_best_then_the_median():
    precision = np.arange(16) / 16  # query k is the k-th worst
    assert by_interest(precision)[:8].tolist() == [0, 1, 2, 15, 3, 4, 5, 7]


def test_every_query_is_chosen_once_and_those_without_a_match_last():
    precision = np.random.default_rng(0).random(101)
    precision[[3, 50]] = np.nan
    chosen = by_interest(precision).tolist()
    assert sorted(chosen) == list(range(101))
    assert chosen[-2:] == [3, 50]


def test_worst_first_is_rising_average_precision():
    assert worst_first(np.array([0.5, np.nan, 0.1, 0.5])).tolist() == [2, 0, 3, 1]


def test_an_album_takes_whole_groups_until_its_budget_is_used():
    paths = [f"{number}.jpg" for number in range(40)]
    album = Album(noise, paths, 40_000)
    groups = [paths[start : start + 4] for start in range(0, 40, 4)]
    added = album.add(groups)
    assert 0 < added < 10
    assert len(album.pictures) == 4 * added
    assert sum(map(len, album.pictures)) <= 40_000
    assert [album.position(path) >= 0 for path in paths] == [True] * 4 * added + [False] * (40 - 4 * added)


def test_an_album_of_few_pictures_keeps_them_large_and_of_many_makes_them_small():
    def tall(path: str) -> Image.Image:
        return noise(path).resize((200, 400))

    def longer_side(budget: int) -> int:
        album = Album(tall, ["a", "b"], budget)
        assert album.add([["a", "b"]]) == 1
        return max(Image.open(io.BytesIO(base64.b64decode(album.pictures[0]))).size)

    assert longer_side(1_000_000) == 256
    assert longer_side(16_000) == 128


def test_an_album_knows_the_shape_of_its_pictures():
    assert Album(plain, ["a"], 1000).aspect == 0.5
    assert Album(lambda _: None, ["a"], 1000).aspect == 0.5


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 100, ["0", "20", "40", "60", "80", "100"]),
        (0, 5, ["0", "1", "2", "3", "4", "5"]),
        (0.28, 3.2, ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]),
        (0, 1200, ["0", "250", "500", "750", "1,000"]),
        (0, 0.12, ["0.000", "0.025", "0.050", "0.075", "0.100"]),
    ],
)
def test_ticks_are_round_numbers_inside_the_axis(low, high, words):
    assert [tick[1] for tick in linear_axis("", low, high).ticks] == words


def test_powers_of_ten_are_equally_far_apart_on_a_logarithmic_axis():
    axis = Axis("", 1e-4, 1, [], logarithmic=True)
    assert [round(axis.share(value), 6) for value in (0, 1e-4, 1e-3, 1e-2, 1e-1, 1)] == [0, 0, 0.25, 0.5, 0.75, 1]


def test_words_in_a_chart_are_escaped():
    chart = Chart(linear_axis("<b>", 0, 1), linear_axis("y", 0, 1), 'a "quoted" word')
    chart.dot((0.5, 0.5), "same", "<script>")
    drawn = chart.draw()
    assert "<b>" not in drawn
    assert "&lt;script&gt;" in drawn
    assert 'aria-label="a &#34;quoted&#34; word"' in drawn


@pytest.mark.parametrize(("length", "ticks"), [
    (1, ["1"]),
    (7, ["1", "5"]),
    (10, ["1", "5", "10"]),
    (50, ["1", "5", "10", "20", "30", "40", "50"]),
    (1000, ["1", "200", "400", "600", "800", "1,000"]),
])  # fmt: skip
def test_the_cmc_names_ranks_that_do_not_touch(length, ticks):
    drawn = cmc_chart(np.linspace(0.5, 1, length), {})
    axis = re.findall(r'class="tick"[^>]*/><text[^>]*>([^<]*)<', drawn)
    assert axis == ticks
    assert len(drawn) < 60_000


def test_curves_carry_their_values_for_readers_who_cannot_see_them():
    _, evaluation = measured(scattered(3))
    rates = evaluation.verification
    assert f"equal error rate {percent(rates.equal_error_rate)}" in roc_chart(rates)
    assert f"suggested threshold {rates.suggested_threshold:.4g}" in distance_chart(rates)
    assert "rank 1 " in cmc_chart(evaluation.metrics.cmc, evaluation.intervals)
    assert "median " in average_precision_chart(evaluation.per_query.average_precision)


def test_one_same_and_one_different_pair_can_be_drawn():
    rates = measured(on_a_line([(1, 7, 2), (2, 9, 2)]))[1].verification
    assert "100.0" in roc_chart(rates)  # the nearer one is the match: every same pair before the different one
    assert "1 same and 1 different pairs" in distance_chart(rates)


def test_matrix_cells_are_shaded_from_the_lowest_to_the_highest():
    nan = np.nan
    values = np.array([[nan, 0.2], [0.6, 0.4]])
    pairs = CameraPairs(np.array([1, 2]), np.array([1, 2]), values, values, np.array([[0, 3], [4, 5]]))
    mean_ap, _ = camera_matrices(pairs)
    assert [camera for camera, _ in mean_ap.rows] == [1, 2]
    assert [[cell.shade for cell in cells] for _, cells in mean_ap.rows] == [[0, 0], [100, 50]]
    assert mean_ap.rows[0][1][0].value is None


def test_of_sixty_cameras_the_busiest_forty_are_shown_and_the_rest_counted():
    cameras = np.arange(60)
    counts = np.tile(cameras, (60, 1))  # gallery camera k is behind k queries of each query camera
    pairs = CameraPairs(cameras, cameras, counts / 60, counts / 60, counts)
    matrix = camera_matrices(pairs)[0]
    assert matrix.columns == list(range(20, 60))
    assert len(matrix.rows) == MOST_CAMERAS
    assert matrix.left_out == 40


def test_numbers_are_written_in_one_way():
    space = "\N{NO-BREAK SPACE}"
    assert percent(0.5549) == f"55.5{space}%"
    assert percent(None) == percent(float("nan")) == "\N{EN DASH}"
    assert interval((0.541, 0.568)) == "[54.1, 56.8]"
    assert counted(1, "query", "queries") == f"1{space}query"
    assert counted(3368, "query", "queries") == f"3,368{space}queries"
