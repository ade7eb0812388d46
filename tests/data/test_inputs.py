"""Images to recognise: a file, a folder, class folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.data.inputs import InputKind, read_images
from reid.errors import DataError
from tests.data.helpers import write_images


def test_one_image_file_is_one_image(tmp_path: Path) -> None:
    write_images(tmp_path, "a.JPG", "b.jpg")

    assert read_images(tmp_path / "a.JPG", "image").images == (tmp_path / "a.JPG",)


def test_a_folder_of_images_is_read_without_the_folders_below(tmp_path: Path) -> None:
    write_images(tmp_path, "b.jpg", "a.png", "notes.txt", "._a.png")
    write_images(tmp_path / "below", "c.jpg")

    subset = read_images(tmp_path, "image_folder")

    assert [path.name for path in subset.images] == ["a.png", "b.jpg"]
    assert subset.foreign == ("._a.png", "notes.txt")


def test_an_archive_s_outer_folder_stands_for_the_images_in_it(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", "a.jpg")

    assert read_images(tmp_path, "image_folder").images == (tmp_path / "photos" / "a.jpg",)


def test_class_folders_have_labels_and_loose_images_are_recognised_too(tmp_path: Path) -> None:
    write_images(tmp_path / "apple", "a.jpg")
    write_images(tmp_path / "pear", "b.jpg")
    write_images(tmp_path, "loose.jpg")

    subset = read_images(tmp_path, "classification_folder")

    assert [(record.path.name, subset.classes[record.pid]) for record in subset.records] == [
        ("a.jpg", "apple"),
        ("b.jpg", "pear"),
    ]
    assert [path.name for path in subset.images] == ["a.jpg", "loose.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        ("gone.jpg", "image", r"gone\.jpg does not exist"),
        ("folder", "image", "is a folder"),
        ("notes.txt", "image", "does not end like an image"),
        ("gone", "image_folder", "does not exist"),
        ("notes.txt", "image_folder", "is not a folder"),
        ("folder", "image_folder", "holds no image, but 2 folders.*inference_input_type=classification_folder"),
        ("one.jpg", "image_folder", r"one\.jpg is one image.*set inference\.inference_input_type=image,"),
        ("one.jpg", "classification_folder", r"is one image.*set inference\.inference_input_type=image,"),
    ],
)
def test_a_place_of_another_kind_is_refused(tmp_path: Path, place: str, kind: InputKind, message: str) -> None:
    write_images(tmp_path, "notes.txt", "one.jpg")
    write_images(tmp_path / "folder" / "apple", "a.jpg")
    write_images(tmp_path / "folder" / "pear", "b.jpg")

    with pytest.raises(DataError, match=message):
        read_images(tmp_path / place, kind)


def test_a_flat_folder_is_refused_with_the_kind_of_input_that_takes_it(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")

    with pytest.raises(DataError, match=r"2 images and no class folder.*inference_input_type=image_folder"):
        read_images(tmp_path, "classification_folder")
