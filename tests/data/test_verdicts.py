"""What a check finds out once about the files of a folder, and when it has to look again."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from reid.data.checks import check
from reid.data.readers import read_market1501
from reid.data.records import Subset
from reid.data.verdicts import judge
from reid.errors import DataError
from tests.data.helpers import jpeg, write_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, one of them cut off."""
    root = write_images(tmp_path / "train", "1_c1.jpg", "2_c1.jpg", "3_c1.jpg")
    (root / "2_c1.jpg").write_bytes(jpeg(5)[:300])
    return root


def read(folder: Path) -> Subset:
    return read_market1501(folder, name="train")


def replace_unseen(path: Path, content: bytes) -> None:
    """Other bytes in the same file, whose size and time stay: only what reads it can tell."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_files_that_did_not_change_are_not_opened_again(folder: Path, tmp_path: Path) -> None:
    first = judge(read(folder), cache_dir=tmp_path / "cache")
    replace_unseen(folder / "1_c1.jpg", bytes((folder / "1_c1.jpg").stat().st_size))  # no image, were it decoded

    again = judge(read(folder), cache_dir=tmp_path / "cache")

    assert again == first
    assert again[folder / "1_c1.jpg"].reason == ""


def test_an_image_that_was_broken_is_found_again_without_being_opened(folder: Path, tmp_path: Path) -> None:
    broken = folder / "2_c1.jpg"
    found = check(read(folder), cache_dir=tmp_path / "cache").unreadable
    replace_unseen(broken, bytes(300))  # the reason would be another

    assert list(found) == [broken]
    assert check(read(folder), cache_dir=tmp_path / "cache").unreadable == found
    with pytest.raises(DataError, match=r"1 of 3 images .* 2_c1\.jpg"):
        check(read(folder), cache_dir=tmp_path / "cache", on_bad_image="error")


def test_only_the_files_that_changed_are_read_again(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge(read(folder), cache_dir=tmp_path / "cache")
    (folder / "2_c1.jpg").write_bytes(jpeg(6))  # mended
    (folder / "4_c1.jpg").write_bytes(jpeg(7))  # new
    (folder / "3_c1.jpg").unlink()
    caplog.set_level(logging.INFO)

    verdicts = judge(read(folder), cache_dir=tmp_path / "cache")

    assert [path.name for path in verdicts] == ["1_c1.jpg", "2_c1.jpg", "4_c1.jpg"]
    assert [verdict.reason for verdict in verdicts.values()] == ["", "", ""]
    assert verdicts[folder / "2_c1.jpg"].digest == sha256(jpeg(6)).hexdigest()
    assert "3 images (1 of them unchanged since an earlier check), 0 unreadable" in caplog.text


def test_a_file_that_another_took_the_place_of_is_read_again_though_size_and_time_are_the_same(
    folder: Path, tmp_path: Path
) -> None:
    judge(read(folder), cache_dir=tmp_path / "cache")
    image = folder / "1_c1.jpg"
    status = image.stat()
    other = tmp_path / "other.jpg"
    other.write_bytes(bytes(status.st_size))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(image)

    assert judge(read(folder), cache_dir=tmp_path / "cache")[image].reason


def test_what_is_known_of_a_folder_outlasts_a_check_of_a_part_of_it(folder: Path, tmp_path: Path) -> None:
    write_images(folder / "deeper", "7_c1.jpg")
    whole = judge(read_market1501(folder, name="train", recursive=True), cache_dir=tmp_path / "cache")
    (folder / "1_c1.jpg").write_bytes(jpeg(8))
    judge(read(folder), cache_dir=tmp_path / "cache")
    replace_unseen(folder / "deeper" / "7_c1.jpg", bytes((folder / "deeper" / "7_c1.jpg").stat().st_size))

    again = judge(read_market1501(folder, name="train", recursive=True), cache_dir=tmp_path / "cache")

    assert again[folder / "deeper" / "7_c1.jpg"] == whole[folder / "deeper" / "7_c1.jpg"]


def test_a_report_out_of_the_cache_is_the_one_without_a_cache(folder: Path, tmp_path: Path) -> None:
    check(read(folder), cache_dir=tmp_path / "cache")

    assert check(read(folder), cache_dir=tmp_path / "cache") == check(read(folder))


def test_a_file_that_could_not_be_opened_is_tried_again(folder: Path, tmp_path: Path) -> None:
    subset = read(folder)
    image, elsewhere = folder / "1_c1.jpg", tmp_path / "1_c1.jpg"
    image.rename(elsewhere)
    assert "cannot be opened" in judge(subset, cache_dir=tmp_path / "cache")[image].reason
    elsewhere.rename(image)

    assert judge(subset, cache_dir=tmp_path / "cache")[image].reason == ""


def test_a_damaged_entry_is_written_anew(folder: Path, tmp_path: Path) -> None:
    first = judge(read(folder), cache_dir=tmp_path / "cache")
    (entry,) = (tmp_path / "cache" / "checks").glob("*.json")
    whole = entry.read_bytes()
    entry.write_bytes(whole[:50])

    assert judge(read(folder), cache_dir=tmp_path / "cache") == first
    assert entry.read_bytes() == whole


def test_a_cache_that_cannot_be_written_only_means_that_files_are_read_each_time(folder: Path) -> None:
    nowhere = Path("/proc/reid")  # not even root makes a folder there

    assert judge(read(folder), cache_dir=nowhere) == judge(read(folder), cache_dir=None)


def test_of_four_that_check_one_folder_at_the_same_time_one_reads_it(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    with ThreadPoolExecutor(4) as pool:  # flock keeps threads apart as it keeps processes: each opens the file itself
        verdicts = list(pool.map(lambda _: judge(read(folder), cache_dir=tmp_path / "cache"), range(4)))

    assert verdicts.count(verdicts[0]) == 4
    unchanged = [record.getMessage().partition("(")[2][0] for record in caplog.records if "checked" in record.message]
    assert sorted(unchanged) == ["0", "3", "3", "3"]
