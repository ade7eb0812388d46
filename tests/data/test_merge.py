"""Several folders of training images as one: whose identities and cameras are whose, and what is told about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.data.checks import check, usable
from reid.data.merge import merge, require_different
from reid.data.readers import read_market1501
from reid.data.records import Subset
from reid.data.requirements import require_trainable
from reid.errors import DataError
from tests.data.helpers import jpeg, write_images

FIRST = ("0007_c1_0.jpg", "0007_c2_0.jpg", "0009_c1_0.jpg", "-1_c1_0.jpg", "0000_c2_0.jpg", "stranger.jpg")
SECOND = ("0007_c1_0.jpg", "0008_c3_0.jpg", "-1_c3_0.jpg", "0000_c1_0.jpg")


def read(folder: Path, name: str) -> Subset:
    return read_market1501(folder, name=name)


@pytest.fixture
def merged(tmp_path: Path) -> Subset:
    first = write_images(tmp_path / "first", *FIRST)
    second = write_images(tmp_path / "second", *SECOND, first_seed=20)
    return merge("train", [read(first, "train_1"), read(second, "train_2")])


def test_identity_7_of_the_second_folder_is_another_person_by_another_camera(merged: Subset) -> None:
    labels = [(record.path.parent.name, record.path.name, record.pid, record.camid) for record in merged.records]

    assert labels == [
        ("first", "0000_c2_0.jpg", 0, 2),
        ("first", "0007_c1_0.jpg", 7, 1),
        ("first", "0007_c2_0.jpg", 7, 2),
        ("first", "0009_c1_0.jpg", 9, 1),
        ("second", "0000_c1_0.jpg", 0, 1_000_001),  # a distractor stays one
        ("second", "0007_c1_0.jpg", 1_000_007, 1_000_001),
        ("second", "0008_c3_0.jpg", 1_000_008, 1_000_003),
    ]
    assert [(record.pid, record.camid) for record in merged.junk] == [(-1, 1), (-1, 1_000_003)]
    assert merged.pids == (7, 9, 1_000_007, 1_000_008)
    assert [path.name for path in merged.unmatched] == ["stranger.jpg"]


def test_the_step_is_larger_than_the_largest_number_of_any_folder(tmp_path: Path) -> None:
    first = write_images(tmp_path / "first", "20240131120000_c1_0.jpg")
    second = write_images(tmp_path / "second", "0007_c1_0.jpg")
    third = write_images(tmp_path / "third", "0007_c1_0.jpg")

    merged = merge("train", [read(folder, "train") for folder in (first, second, third)])

    assert merged.pids == (20240131120000, 100000000000007, 200000000000007)
    assert [source.pid_offset for source in merged.sources] == [0, 10**14, 2 * 10**14]
    assert merged.camids == (1, 1_000_001, 2_000_001)


def test_a_check_counts_each_folder_and_all_of_them(merged: Subset) -> None:
    report = check(merged)["train"]

    assert (report.images, report.labelled, report.identities, len(report.cameras)) == (10, 7, 4, 4)
    first, second = report.folders
    assert (first.name, first.images, first.labelled, first.identities, first.cameras) == ("train_1", 6, 4, 2, (1, 2))
    assert (second.name, second.images, second.labelled, second.identities, second.cameras) == (
        "train_2", 4, 3, 2, (1, 3),
    )  # fmt: skip
    assert second.single_camera == (7, 8)
    told = report.to_dict()
    assert [source["root"] for source in told["sources"]] == [str(folder.root) for folder in merged.folders]
    assert told["sources"][1]["pid_offset"] == 1_000_000


def test_the_fingerprint_changes_with_each_folder_and_with_their_order(merged: Subset, tmp_path: Path) -> None:
    before = check(merged)["train"].fingerprint
    turned = merge("train", merged.folders[::-1])
    (tmp_path / "second" / "0007_c1_0.jpg").write_bytes(jpeg(99))

    assert len({before, check(merged)["train"].fingerprint, check(turned)["train"].fingerprint}) == 3


def test_an_unreadable_image_is_left_out_everywhere_and_named_with_its_folder(merged: Subset, tmp_path: Path) -> None:
    bad = tmp_path / "second" / "0008_c3_0.jpg"
    bad.write_bytes(b"no image")

    report = check(merged)
    left = usable(merged, report)

    assert bad not in {record.path for record in left.records}
    assert bad not in {record.path for record in left.sources[1].subset.records}
    assert len(left.records) == 6
    sources = report["train"].to_dict()["sources"]
    assert [list(source["unreadable"]) for source in sources] == [[], ["0008_c3_0.jpg"]]
    with pytest.raises(DataError, match=r"1 of 4 images of the train_2 folder .*second"):
        check(merged, on_bad_image="error")


def test_a_folder_without_one_readable_image_is_refused_though_the_other_has_some(
    merged: Subset, tmp_path: Path
) -> None:
    for path in (tmp_path / "second").iterdir():
        path.write_bytes(b"no image")

    with pytest.raises(DataError, match="4 of 4 images of the train_2 folder"):
        check(merged)


def test_the_same_images_twice_are_refused_under_whatever_name(tmp_path: Path) -> None:
    first = write_images(tmp_path / "first", *FIRST)
    copy = write_images(tmp_path / "copy", *FIRST)
    report = check(merge("train", [read(first, "train_1"), read(copy, "train_2")]))["train"]

    with pytest.raises(DataError, match=r"first and .*copy hold the same 6 images.*two identities"):
        require_different(report)


def test_single_images_in_two_folders_are_counted_and_told(
    merged: Subset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "second" / "0008_c3_0.jpg"
    shared.write_bytes((tmp_path / "first" / "0007_c2_0.jpg").read_bytes())

    report = check(merged)["train"]

    assert report.repeated == ((shared, tmp_path / "first" / "0007_c2_0.jpg"),)
    assert "train: 1 images have the bytes of an image in an earlier folder" in caplog.text
    assert report.to_dict()["files_in_several_sources"]["count"] == 1
    require_different(report)  # it is not all of them


def test_too_few_identities_name_all_the_folders(merged: Subset) -> None:
    with pytest.raises(DataError, match=r"the train folders .*first, .*second have 4 identities \(7 images\)"):
        require_trainable(merged, batch_size=20, num_instances=4)
