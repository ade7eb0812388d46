"""The embedded sample of recognition: class folders, determinism, what its classes share, bad arguments."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid.actions.sample import sample_classes
from reid.cli import main
from reid.data.class_folders import read_class_folders
from reid.data.synthetic import (
    KNOWN_REFERENCE,
    KNOWN_TRAIN,
    KNOWN_VAL,
    UNKNOWN_REFERENCE,
    UNKNOWN_TEST,
    ClassCounts,
    generate_classes,
)
from reid.data.synthetic.packaging import artwork
from reid.data.synthetic.product import Package, product_range
from reid.errors import DataError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ClassCounts:
    """4 known and 3 unknown classes, 3 training pictures each."""
    return generate_classes(tmp_path_factory.mktemp("products"), known=4, unknown=3, images_per_class=3, seed=5)


def pictures(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}


def test_four_known_and_three_unknown_classes_make_12_training_16_and_12_reference_32_and_24_asking_images(small):
    assert small.images == {
        KNOWN_TRAIN: 4 * 3,
        KNOWN_REFERENCE: 4 * 4,
        KNOWN_VAL: 4 * 8,
        UNKNOWN_REFERENCE: 3 * 4,
        UNKNOWN_TEST: 3 * 8,
    }
    assert {name: len(pictures(path)) for name, path in small.archives.items()} == small.images


def test_each_archive_is_a_folder_of_class_folders_and_no_unknown_class_is_a_known_one(small, tmp_path):
    for archive in small.archives.values():
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path, filter="data")
    subsets = read_class_folders({name: tmp_path / name for name in small.archives})
    classes = {name: set(subset.classes.values()) for name, subset in subsets.items()}
    assert classes[KNOWN_TRAIN] == classes[KNOWN_REFERENCE] == classes[KNOWN_VAL]
    assert classes[UNKNOWN_REFERENCE] == classes[UNKNOWN_TEST]
    assert not classes[KNOWN_TRAIN] & classes[UNKNOWN_TEST]
    assert len(classes[KNOWN_TRAIN] | classes[UNKNOWN_TEST]) == 7


def test_members_are_sorted_square_colour_jpegs_and_no_two_are_alike(small):
    seen = set()
    for archive in small.archives.values():
        found = pictures(archive)
        assert list(found) == sorted(found)
        for data in found.values():
            image = Image.open(io.BytesIO(data))
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (96, 96))
            seen.add(data)
    assert len(seen) == sum(small.images.values())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_pictures(small, tmp_path):
    again = generate_classes(tmp_path / "again", known=4, unknown=3, images_per_class=3, seed=5)
    other = generate_classes(tmp_path / "other", known=4, unknown=3, images_per_class=3, seed=6)
    for name, archive in small.archives.items():
        assert again.archives[name].read_bytes() == archive.read_bytes()
        assert not set(pictures(archive).values()) & set(pictures(other.archives[name]).values())


def test_more_training_images_leave_those_that_ask_as_they_are(small, tmp_path):
    more = generate_classes(tmp_path, known=4, unknown=3, images_per_class=5, seed=5)
    assert more.archives[UNKNOWN_TEST].read_bytes() == small.archives[UNKNOWN_TEST].read_bytes()


@pytest.mark.parametrize("package", list(Package))
def test_two_products_of_a_range_share_outline_and_colours_and_differ_in_print_and_emblem(package):
    first, second = product_range(np.random.default_rng(3), package)
    assert (first.base, first.second, first.label, first.cap) == (second.base, second.second, second.label, second.cap)
    assert first.cover != second.cover
    assert first.emblem != second.emblem
    fronts = [np.asarray(artwork(product)) for product in (first, second)]
    assert np.array_equal(fronts[0][..., 3], fronts[1][..., 3])
    assert (np.abs(fronts[0].astype(int) - fronts[1]).max(axis=2) > 0).mean() > 0.02


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"known": 1}, "classes is 1"),
        ({"unknown": 1}, "unknown_classes is 1"),
        ({"images_per_class": 1}, "images_per_class is 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_argument_out_of_bounds_is_named_with_the_least_value_and_nothing_is_written(tmp_path, wrong, message):
    with pytest.raises(DataError, match=message) as raised:
        generate_classes(tmp_path / "out", **({"known": 2, "unknown": 2, "images_per_class": 2, "seed": 0} | wrong))
    assert "or more" in raised.value.fix
    assert not (tmp_path / "out").exists()


def test_the_command_draws_the_sample_of_a_family_and_refuses_options_of_another(tmp_path, capsys):
    few = ["--classes", "2", "--unknown-classes", "2", "--images-per-class", "2"]
    assert main(["sample", "--family", "ml_recog", *few, "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "known_reference.tar.gz",
        "known_train.tar.gz",
        "known_val.tar.gz",
        "unknown_reference.tar.gz",
        "unknown_test.tar.gz",
    ]
    assert main(["sample", "--family", "ml_recog", "--cameras", "3", "--out", str(tmp_path)]) == 2
    assert "the sample of ml_recog has no --cameras" in capsys.readouterr().err
    assert main(["sample", *few, "--out", str(tmp_path)]) == 2


def test_the_action_reports_the_images_of_each_archive(tmp_path):
    result = sample_classes(tmp_path, classes=2, unknown_classes=2, images_per_class=2, seed=1)
    assert result.figures["known_train_images"] == 2 * 2
    assert result.figures["unknown_test_images"] == 2 * 8
    assert sorted(result.files) == sorted(path.name.removesuffix(".tar.gz") for path in result.files.values())
