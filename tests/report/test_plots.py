"""Curves show the numbers they are given, and files are whole PNGs."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from reid.report.plots import draw_cmc, draw_training, plot_cmc, plot_training

_CMC = np.array([0.5, 0.6, 0.7, 0.75, 0.8, 0.8, 0.8, 0.85, 0.9, 0.9])


def _texts(figure):
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    return inside + [text.get_text() for text in figure.texts]


def test_cmc_is_drawn_in_per_cent_from_0_to_100_over_ranks_from_1():
    (axes,) = draw_cmc(_CMC, mean_ap=0.4).axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.arange(1, 11))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 * _CMC)
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] >= 100


def test_cmc_writes_ranks_1_5_and_10_the_map_and_the_protocol():
    texts = _texts(draw_cmc(_CMC, mean_ap=0.4321, protocol="48 queries"))
    assert texts == ["rank-1  50.0 %", "rank-5  80.0 %", "rank-10  90.0 %", "CMC curve, mAP 43.2 %", "48 queries"]


@pytest.mark.parametrize(("length", "named"), [(1, 1), (4, 1), (9, 2), (20, 3)])
def test_cmc_names_only_ranks_that_it_has(length, named):
    assert sum(text.startswith("rank-") for text in _texts(draw_cmc(np.ones(length), mean_ap=1.0))) == named


def test_long_cmc_gathers_its_numbers_in_one_box():
    assert "rank-1  70.0 %\nrank-5  70.0 %\nrank-10  70.0 %" in _texts(draw_cmc(np.full(50, 0.7), mean_ap=0.5))


def test_training_has_panels_for_loss_rate_and_validation():
    figure = draw_training(
        [0, 1, 2], losses={"total": [3, 2, 1]}, learning_rate=[1, 1, 0.1], figures={"mAP": [0, 0.5, 0.4]}
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "learning rate", "validation (%)"]
    assert figure.axes[2].get_legend().get_texts()[0].get_text() == "mAP, best 50.0 % in epoch 1"


def test_ticks_of_a_learning_rate_are_even_also_where_it_stays_the_same():
    figure = draw_training([0], losses={"total": [1]}, learning_rate=[0.00035])
    figure.canvas.draw()
    axes = figure.axes[1]
    shown = [float(label.get_text()) for label in axes.get_yticklabels()]
    assert axes.get_title(loc="left") == "learning rate (in 1e-4)"
    np.testing.assert_allclose(np.diff(shown), 0.5)
    assert shown[0] == 0


def test_two_bests_in_one_place_are_stars_of_two_sizes():
    figure = draw_training([0], losses={"total": [1]}, learning_rate=[1], figures={"cmc_rank_1": [0.4], "mAP": [0.4]})
    stars = [line.get_markersize() for line in figure.axes[2].get_lines() if line.get_marker() == "*"]
    assert stars == sorted(set(stars), reverse=True)
    assert len(stars) == 2


def test_epochs_without_validation_are_not_drawn_as_zero():
    nan = float("nan")
    figure = draw_training(
        [0, 1, 2, 3], losses={"total": [4, 3, 2, 1]}, learning_rate=[1] * 4, figures={"mAP": [nan, 0.2, nan, 0.6]}
    )
    line = figure.axes[2].lines[0]
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([1, 3], [20, 60])


@pytest.mark.parametrize("figures", [None, {}, {"mAP": [float("nan")]}])
def test_training_without_validation_has_two_panels(figures):
    assert len(draw_training([0], losses={"total": [1.0]}, learning_rate=[1e-3], figures=figures).axes) == 2


def test_pictures_are_png_files_of_a_sensible_size(tmp_path):
    plot_cmc(_CMC, tmp_path / "evaluate" / "cmc_curve.png", mean_ap=0.4, protocol="48 queries")
    plot_training([0, 1], tmp_path / "training.png", losses={"total": [2, 1]}, learning_rate=[1, 1])
    for path in (tmp_path / "evaluate" / "cmc_curve.png", tmp_path / "training.png"):
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            assert image.format == "PNG"
            assert 500 <= min(image.size) <= max(image.size) <= 2500
            assert np.asarray(image.convert("L")).std() > 5  # not blank


def test_the_same_curve_is_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        plot_cmc(_CMC, tmp_path / name, mean_ap=0.4)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_is_written_when_drawing_fails(tmp_path):
    with pytest.raises(ValueError, match="must have same first dimension"):
        plot_training([0, 1], tmp_path / "training.png", losses={"total": [2, 1, 0]}, learning_rate=[1, 1])
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_pyplot_alone(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    plot_cmc(_CMC, tmp_path / "cmc.png", mean_ap=0.4)
    assert ("matplotlib.pyplot" in sys.modules) == before
