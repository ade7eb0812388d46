"""Files are whole or absent, and a full disk is told in our words."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from reid.errors import StorageError
from reid.files import atomic_path, replace_link, sha256_of, storage_errors, write_bytes, write_json, write_text


def test_file_appears_under_its_name_only_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "model.bin"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"weights")
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_bytes() == b"weights"
    assert _names(target.parent) == ["model.bin"]


def test_interrupted_write_keeps_the_old_file_and_leaves_no_temporary(tmp_path):
    target = tmp_path / "metrics.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _stop_half_way(target)
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["metrics.json"]


def test_two_writers_of_one_name_do_not_meet(tmp_path):
    target = tmp_path / "index.json"
    with atomic_path(target) as first, atomic_path(target) as second:
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the outer block ends last
    assert _names(tmp_path) == ["index.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_full_disk_is_a_storage_error_and_the_old_file_stays(tmp_path):
    target = tmp_path / "embeddings.parquet"
    target.write_text("old")
    with pytest.raises(StorageError, match="no space left while writing") as caught:
        _write_to_a_full_device(target)
    assert str(target) in caught.value.found
    assert "results_dir=" in caught.value.fix
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["embeddings.parquet"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_full_and_read_only_disks_become_storage_errors(tmp_path, number):
    with pytest.raises(StorageError, match="status"), storage_errors(tmp_path / "status.json"):
        raise OSError(number, os.strerror(number))


def test_other_system_errors_pass_through(tmp_path):
    with pytest.raises(IsADirectoryError), storage_errors(tmp_path / "status.json"):
        raise IsADirectoryError(errno.EISDIR, "is a directory")


def test_json_is_strict_so_that_every_reader_can_read_it(tmp_path):
    target = tmp_path / "metrics.json"
    write_json(target, {"mAP": 5 / 6})
    assert target.read_text() == '{\n  "mAP": 0.8333333333333334\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, {"mAP": float("nan")})
    assert "0.83" in target.read_text()


def test_text_is_utf8_whatever_the_locale(tmp_path):
    write_text(tmp_path / "names.txt", "José, 李\n")
    assert (tmp_path / "names.txt").read_bytes() == "José, 李\n".encode()


def test_link_moves_to_a_new_target_and_is_relative(tmp_path):
    for name in ("model_epoch_000.pth", "model_epoch_001.pth"):
        write_bytes(tmp_path / name, name.encode())
        replace_link(tmp_path / "latest.pth", tmp_path / name)
    assert (tmp_path / "latest.pth").readlink() == Path("model_epoch_001.pth")
    assert (tmp_path / "latest.pth").read_bytes() == b"model_epoch_001.pth"
    assert len(_names(tmp_path)) == 3


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "archive.tar").write_bytes(b"crops" * 100_000)
    assert sha256_of(tmp_path / "archive.tar") == hashlib.sha256(b"crops" * 100_000).hexdigest()


def _stop_half_way(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def _write_to_a_full_device(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x" * 100_000)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
