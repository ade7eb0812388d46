"""File names: what counts as an identity, what does not, and what a stranger is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.data.archives import open_folder
from reid.data.readers import read_market1501, require_named
from reid.errors import DataError
from tests.data.helpers import write_images


def read(folder: Path, **options: bool) -> list[tuple[str, int, int]]:
    return [(r.path.name, r.pid, r.camid) for r in read_market1501(folder, name="train", **options).records]


def test_identity_and_camera_come_from_the_name(tmp_path: Path) -> None:
    write_images(tmp_path, "0007_c2s1_000003_00.jpg", "1501_c6s4_000001_01.jpg")
    assert read(tmp_path) == [("0007_c2s1_000003_00.jpg", 7, 2), ("1501_c6s4_000001_01.jpg", 1501, 6)]


def test_camera_12_is_not_camera_1(tmp_path: Path) -> None:
    write_images(tmp_path, "0007_c12s1.jpg")
    assert read(tmp_path) == [("0007_c12s1.jpg", 7, 12)]


def test_minus_1_is_junk_and_not_identity_1(tmp_path: Path) -> None:
    write_images(tmp_path, "-1_c1s1_000401_03.jpg", "0001_c1s1_000001_00.jpg")
    subset = read_market1501(tmp_path, name="gallery")
    assert [record.path.name for record in subset.junk] == ["-1_c1s1_000401_03.jpg"]
    assert subset.pids == (1,)


def test_0_is_a_distractor_that_stays_but_is_no_identity(tmp_path: Path) -> None:
    write_images(tmp_path, "0000_c1s1_000001_00.jpg", "0002_c1s1_000001_00.jpg")
    subset = read_market1501(tmp_path, name="gallery")
    assert (len(subset.records), subset.num_distractors, subset.pids) == (2, 1, (2,))


def test_a_parent_folder_that_looks_like_a_name_is_ignored(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "run2_c3", "0007_c1s1.jpg", "portrait.jpg")
    subset = read_market1501(folder, name="train")
    assert [(record.pid, record.camid) for record in subset.records] == [(7, 1)]
    assert [path.name for path in subset.unmatched] == ["portrait.jpg"]


def test_suffixes_in_any_case_are_images_and_other_files_are_foreign(tmp_path: Path) -> None:
    write_images(tmp_path, "1_c1.JPG", "2_c1.png", "3_c1.Webp", "4_c1.bmp", "5_c1.jpeg", "Thumbs.db", "6_c1.gif")
    subset = read_market1501(tmp_path, name="train")
    assert subset.pids == (1, 2, 3, 4, 5)
    assert subset.foreign == ("6_c1.gif", "Thumbs.db")


def test_the_files_that_macos_adds_to_archives_are_foreign(tmp_path: Path) -> None:
    write_images(tmp_path, "0001_c1.jpg", "._0001_c1.jpg")
    subset = read_market1501(tmp_path, name="train")
    assert (len(subset.images), subset.foreign) == (1, ("._0001_c1.jpg",))


def test_identities_below_minus_1_are_never_guessed_at(tmp_path: Path) -> None:
    write_images(tmp_path, "-2_c1.jpg", "1_c1.jpg")
    assert [path.name for path in read_market1501(tmp_path, name="train").unmatched] == ["-2_c1.jpg"]


def test_a_folder_with_one_sub_folder_stands_for_it(tmp_path: Path) -> None:
    write_images(tmp_path / "a" / "sample_train", "0001_c1.jpg")
    write_images(tmp_path / "__MACOSX", "._x.jpg")
    subset = read_market1501(tmp_path, name="train")
    assert subset.root == tmp_path / "a" / "sample_train"
    assert subset.pids == (1,)


def test_sub_folders_beside_images_are_read_only_when_asked_for(tmp_path: Path) -> None:
    write_images(tmp_path, "0001_c1.jpg")
    write_images(tmp_path / "more", "0002_c1.jpg")
    assert [pid for _, pid, _ in read(tmp_path)] == [1]
    assert [pid for _, pid, _ in read(tmp_path, recursive=True)] == [1, 2]


def test_the_order_is_sorted_and_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "x", "0003_c1.jpg", "0001_c1.jpg", "0002_c1.jpg")
    monkeypatch.chdir(tmp_path)
    subset = read_market1501(Path("x"), name="train")
    assert [record.pid for record in subset.records] == [1, 2, 3]
    assert all(record.path.is_absolute() for record in subset.records)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the query folder .*nowhere does not exist"):
        read_market1501(tmp_path / "nowhere", name="query")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("x")
    with pytest.raises(DataError, match="is not a folder"):
        read_market1501(tmp_path / "list.txt", name="query")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image and nothing else"):
        require_named(read_market1501(tmp_path, name="train"))


def test_a_folder_of_folders_is_refused_and_names_them(tmp_path: Path) -> None:
    for name in ("bounding_box_train", "bounding_box_test", "query", "gt_bbox"):
        write_images(tmp_path / name, "0001_c1.jpg")
    with pytest.raises(DataError, match=r"4 folders \(bounding_box_test, bounding_box_train, gt_bbox, \.\.\.\)"):
        require_named(read_market1501(tmp_path, name="train"))


def test_three_names_are_shown_when_none_matches(tmp_path: Path) -> None:
    write_images(tmp_path, "d.jpg", "a.jpg", "c.jpg", "b.jpg")
    with pytest.raises(DataError, match=r"none of the 4 images .* the first are a\.jpg, b\.jpg, c\.jpg\. "):
        require_named(read_market1501(tmp_path, name="train"))


def test_a_folder_of_junk_alone_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, "-1_c1.jpg")
    with pytest.raises(DataError, match=r"all 1 images .* are junk"):
        require_named(read_market1501(tmp_path, name="gallery"))


@pytest.mark.parametrize(("part", "images", "identities"), [("train", 992, 62), ("test", 192, 12), ("query", 48, 12)])
def test_pku_reid_has_its_published_counts(tmp_path: Path, pku: Path, part: str, images: int, identities: int) -> None:
    folder = open_folder(pku / f"sample_{part}.tar.gz", cache_dir=tmp_path, max_bytes=10**8)
    subset = read_market1501(folder, name=part)
    require_named(subset)
    assert (len(subset.records), len(subset.pids), subset.camids) == (images, identities, (1, 2))


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("0007_c2v3_000001.jpg", 3),
        ("0007_c2_v3_000001.jpg", 3),
        ("0007_c2s1v12_000001.jpg", 12),
        ("-1_c2v1.jpg", 1),
        ("0007_c2s1_000003_00.jpg", None),
        ("0007_c2s1_000003_v1.jpg", None),  # not behind the camera
        ("v3_0007_c2.jpg", None),
    ],
)
def test_the_view_is_the_number_after_v_behind_the_camera(name: str, view: int | None, tmp_path: Path) -> None:
    (tmp_path / name).touch()

    subset = read_market1501(tmp_path, name="train")

    assert [record.view for record in subset.records + subset.junk] == ([] if name.startswith("v3") else [view])
    assert subset.views == (() if view is None or name.startswith("-1") else (view,))
