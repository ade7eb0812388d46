"""Pixels: one rule, checked against Pillow used directly and against values one can work out."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from reid.data.images import Preprocess, decode, is_image, load_image, normalise
from reid.errors import DataError
from tests.data.helpers import jpeg

PREPROCESS = Preprocess(256, 128, "bicubic", (0.485, 0.456, 0.406), (0.226, 0.226, 0.226))


def test_a_preprocessing_survives_json() -> None:
    assert Preprocess.from_dict(json.loads(json.dumps(PREPROCESS.to_dict()))) == PREPROCESS


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"height": 0}, "0x128"),
        ({"interpolation": "nearest"}, "nearest"),
        ({"std": [0.2, 0.0, 0.2]}, "std"),
        ({"mean": [0.5]}, "mean"),
        ({"width": "wide"}, "wide"),
    ],
)
def test_a_preprocessing_that_makes_no_sense_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(DataError, match=word):
        Preprocess.from_dict(PREPROCESS.to_dict() | change)


def test_a_preprocessing_with_a_missing_value_names_it() -> None:
    values = PREPROCESS.to_dict()
    del values["std"]
    with pytest.raises(DataError, match="std"):
        Preprocess.from_dict(values)


def test_a_preprocessing_stored_before_there_were_crops_cuts_nothing_off() -> None:
    values = PREPROCESS.to_dict()
    assert values.pop("resize_factor") == 1
    assert Preprocess.from_dict(values).resize == 1


def test_a_stored_crop_survives_json() -> None:
    cropping = replace(PREPROCESS, resize=1.14)
    assert Preprocess.from_dict(json.loads(json.dumps(cropping.to_dict()))) == cropping
    assert (cropping.uncropped.height, cropping.uncropped.width, cropping.uncropped.resize) == (292, 146, 1)


@pytest.mark.parametrize("resize", [0.99, float("nan")])
def test_a_crop_larger_than_the_image_is_refused(resize: float) -> None:
    with pytest.raises(DataError, match=r"times the input size"):
        replace(PREPROCESS, resize=resize)


@pytest.mark.parametrize(("height", "width", "resize"), [(20, 10, 1.14), (21, 13, 1.3), (20, 10, 1.0)])
def test_the_middle_is_torchvisions_centre_crop_of_the_resized_image(
    tmp_path: Path, height: int, width: int, resize: float
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1, height=50, width=30))
    rule = Preprocess(height, width, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize)
    whole = [round(resize * height), round(resize * width)]
    expected = Compose([Resize(whole), CenterCrop([height, width])])(Image.open(tmp_path / "a.jpg"))

    assert np.array_equal(rule.load(tmp_path / "a.jpg"), np.asarray(expected))
    assert rule.uncropped.load(tmp_path / "a.jpg").shape == (*whole, 3)


def test_image_names_are_known_in_any_case() -> None:
    names = ["a.jpg", "a.JPG", "a.Jpeg", "a.PNG", "a.bmp", "a.WebP"]
    assert all(is_image(Path(name)) for name in names)
    assert not any(is_image(Path(name)) for name in ["a.gif", "a.txt", "jpg", "a.jpg.part"])


def test_a_uniform_image_keeps_its_colour_at_any_size(tmp_path: Path) -> None:
    Image.new("RGB", (5, 9), (10, 200, 30)).save(tmp_path / "plain.png")
    image = load_image(tmp_path / "plain.png", height=6, width=4, interpolation="bilinear")
    assert image.shape == (6, 4, 3)
    assert image.dtype == np.uint8
    assert (image == [10, 200, 30]).all()


def test_two_pixels_enlarged_to_four_are_interpolated_linearly(tmp_path: Path) -> None:
    # Centres of the four at 0.25, 0.75, 1.25, 1.75 of the two (centres 0.5 and 1.5): 0, 25 %, 75 %, 100 % of 200.
    Image.fromarray(np.array([[0, 200]], dtype=np.uint8)).save(tmp_path / "two.png")
    image = load_image(tmp_path / "two.png", height=1, width=4, interpolation="bilinear")
    assert image[0, :, 0].tolist() == [0, 50, 150, 200]


def test_bicubic_and_bilinear_differ(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    linear = load_image(tmp_path / "a.jpg", height=64, width=32, interpolation="bilinear")
    cubic = load_image(tmp_path / "a.jpg", height=64, width=32, interpolation="bicubic")
    assert not np.array_equal(linear, cubic)


def test_an_exif_orientation_is_ignored(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 8))
    exif = image.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert decode((tmp_path / "turned.jpg").read_bytes(), name="turned").size == (4, 8)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (3, 2)).save(buffer, "TIFF")
    assert decode(buffer.getvalue(), name="x").mode == "RGB"


@pytest.mark.parametrize("kept", [0, 1, 10, 200, 600])
def test_a_truncated_image_is_named(tmp_path: Path, kept: int) -> None:
    data = jpeg(1)
    assert kept < len(data)
    (tmp_path / "0001_c1.jpg").write_bytes(data[:kept])
    with pytest.raises(DataError, match=r"0001_c1\.jpg is not a readable image"):
        load_image(tmp_path / "0001_c1.jpg", height=8, width=4, interpolation="bilinear")


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read \(No such file"):
        load_image(tmp_path / "gone.jpg", height=8, width=4, interpolation="bilinear")


def test_an_image_of_too_many_pixels_is_refused() -> None:
    bomb = io.BytesIO()
    Image.new("1", (14_000, 14_000)).save(bomb, "PNG")
    with pytest.raises(DataError, match="bomb"):
        decode(bomb.getvalue(), name="bomb.png")


def test_normalise_of_255_and_0_by_hand() -> None:
    images = np.zeros((1, 1, 2, 3), dtype=np.uint8)
    images[0, 0, 0] = 255
    result = normalise(images, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    assert result.shape == (1, 3, 1, 2)
    assert result.dtype == np.float32
    assert result[0, :, 0, 0].tolist() == pytest.approx([1.0, 3.0, 0.5], abs=1e-6)
    assert result[0, :, 0, 1].tolist() == pytest.approx([-1.0, -1.0, 0.0], abs=1e-6)
