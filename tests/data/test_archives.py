"""Archives: what comes out of good ones, and that bad ones write nothing anywhere."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from reid.data import members
from reid.data.archives import open_folder
from reid.errors import ArchiveError, DataError, StorageError
from tests.data.helpers import jpeg, write_images, write_tar

IMAGES = {"sample/0001_c1.jpg": jpeg(1), "sample/0002_c2.jpg": jpeg(2)}
LIMIT = 10_000_000


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpack(archive: Path, cache: Path, *, max_bytes: int = LIMIT) -> dict[str, bytes]:
    return files_below(open_folder(archive, cache_dir=cache, max_bytes=max_bytes))


def nothing_is_left(cache: Path) -> bool:
    return [path.suffix for path in (cache / "archives").iterdir()] == [".lock"]


def tar_with(path: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_a_folder_is_returned_as_it_is(tmp_path: Path) -> None:
    assert open_folder(tmp_path, cache_dir=tmp_path / "cache", max_bytes=1) == tmp_path
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_extracted_whatever_its_compression_and_name(tmp_path: Path, mode: str) -> None:
    archive = write_tar(tmp_path / "no_suffix_at_all", IMAGES, mode=mode)
    assert unpack(archive, tmp_path / "cache") == IMAGES


def test_a_zip_named_tar_gz_is_extracted_as_the_zip_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "images.tar.gz"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("sample")
        for name, content in IMAGES.items():
            file.writestr(name, content)
    assert unpack(archive, tmp_path / "cache") == IMAGES


def test_a_file_uri_is_extracted_too(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "with space.tar.gz", IMAGES)
    folder = open_folder(archive.as_uri(), cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    assert files_below(folder) == IMAGES


def test_a_second_call_extracts_nothing_and_a_copy_shares_the_entry(tmp_path: Path) -> None:
    first = write_tar(tmp_path / "a.tar.gz", IMAGES)
    folder = open_folder(first, cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    before = (folder / "sample/0001_c1.jpg").stat()
    copy = tmp_path / "b.tar.gz"
    copy.write_bytes(first.read_bytes())
    assert open_folder(copy, cache_dir=tmp_path / "cache", max_bytes=LIMIT) == folder
    assert (folder / "sample/0001_c1.jpg").stat().st_ino == before.st_ino


def test_a_changed_archive_gets_another_folder(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"1_c1.jpg": b"old"}, mode="w")
    old = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    write_tar(archive, {"1_c1.jpg": b"new"}, mode="w")
    new = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    assert (files_below(old), files_below(new)) == ({"1_c1.jpg": b"old"}, {"1_c1.jpg": b"new"})


@pytest.mark.parametrize("damage", ["missing", "emptied"])
def test_an_extracted_folder_that_was_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", IMAGES)
    victim = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT) / "sample/0001_c1.jpg"
    victim.unlink() if damage == "missing" else victim.write_bytes(b"")
    assert unpack(archive, tmp_path / "cache") == IMAGES


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", IMAGES)
    folder = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    folder.rename(folder.with_name(f"{folder.name}.part"))
    (folder.with_name(f"{folder.name}.part") / "rubbish.jpg").write_bytes(b"x")
    assert unpack(archive, tmp_path / "cache") == IMAGES


def test_two_threads_that_want_the_same_archive_extract_it_once(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", {f"{pid}_c1.jpg": jpeg(pid) for pid in range(200)})
    folders: list[Path] = []

    def work() -> None:
        folders.append(open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert len(files_below(folders[0])) == 200


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.tar\.gz does not exist"):
        open_folder(tmp_path / "gone.tar.gz", cache_dir=tmp_path / "cache", max_bytes=LIMIT)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x00" * 100, gzip.compress(b"hello" * 1000, mtime=0), jpeg(1)],
    ids=["empty", "text", "zeros", "gzip of text", "jpeg"],
)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match="not an archive of a known kind"):
        unpack(tmp_path / "data.tar.gz", tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")


def test_an_archive_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no file"):
        unpack(write_tar(tmp_path / "empty.tar", {}, mode="w"), tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("kept", [0.35, 0.6, 0.9])
def test_a_truncated_tar_is_named_and_leaves_nothing(tmp_path: Path, mode: str, kept: float) -> None:
    archive = write_tar(tmp_path / "cut.tar", {f"{pid}_c1.jpg": jpeg(pid) for pid in range(20)}, mode=mode)
    whole = archive.read_bytes()
    end = len(whole) if mode != "w" else len(whole.rstrip(b"\0"))
    archive.write_bytes(whole[: int(end * kept)])
    with pytest.raises(ArchiveError, match=r"cut\.tar is truncated or damaged"):
        unpack(archive, tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")


def test_a_tar_cut_exactly_between_two_members_is_noticed(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "cut.tar", {"1_c1.jpg": b"a" * 512, "2_c1.jpg": b"b" * 512}, mode="w")
    archive.write_bytes(archive.read_bytes()[:1024])  # one header and one block of content
    with pytest.raises(ArchiveError, match="after 1 files: it stops"):
        unpack(archive, tmp_path / "cache")


def test_a_tar_with_a_damaged_second_header_is_noticed(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "bad.tar", {"1_c1.jpg": b"a" * 512, "2_c1.jpg": b"b" * 512}, mode="w")
    content = bytearray(archive.read_bytes())
    content[1024:1034] = b"XXXXXXXXXX"
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="after 1 files"):
        unpack(archive, tmp_path / "cache")


@pytest.mark.parametrize("offset", [100, -6])
def test_a_gzip_with_flipped_bits_is_noticed(tmp_path: Path, offset: int) -> None:
    archive = write_tar(tmp_path / "bad.tar.gz", IMAGES)
    content = bytearray(archive.read_bytes())
    content[offset] ^= 0xFF  # -6 is in the checksum at the very end
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="truncated or damaged"):
        unpack(archive, tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_a_truncated_zip_is_named(tmp_path: Path, kept: float) -> None:
    archive = tmp_path / "cut.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("1_c1.jpg", jpeg(1))
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ArchiveError, match=r"cut\.zip is truncated or damaged"):
        unpack(archive, tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")


def test_a_zip_with_a_wrong_checksum_is_noticed(tmp_path: Path) -> None:
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("1_c1.jpg", b"a" * 100)
    archive.write_bytes(archive.read_bytes().replace(b"a" * 100, b"a" * 99 + b"b"))
    with pytest.raises(ArchiveError, match="CRC"):
        unpack(archive, tmp_path / "cache")


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "a/../../evil.jpg", "/tmp/evil.jpg", "..", "c:/evil.jpg", "..\\evil.jpg"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / "evil"
    if kind == "tar":
        tar_with(archive, member("1_c1.jpg"), member(name))
    else:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("1_c1.jpg", b"x")
            file.writestr(name, b"x")
    with pytest.raises(ArchiveError, match="leads out of the archive's folder"):
        unpack(archive, tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "evil"]


@pytest.mark.parametrize(
    "members",
    [
        [member("link", tarfile.SYMTYPE, "/etc/passwd")],
        [member("link", tarfile.SYMTYPE, "../../secret")],
        [member("link", tarfile.LNKTYPE, "../secret")],
        [member("link", tarfile.SYMTYPE, "/tmp"), member("link/evil.jpg")],
        [member("a", tarfile.SYMTYPE, "."), member("a/b", tarfile.SYMTYPE, "..")],
        [member("link", tarfile.SYMTYPE, "later.jpg"), member("later.jpg")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("device", tarfile.CHRTYPE)],
        [member("disk", tarfile.BLKTYPE)],
    ],
    ids=["absolute", "up", "hard", "through", "cve-2025-4517", "forward", "fifo", "char", "block"],
)
def test_links_out_and_devices_are_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(ArchiveError, match="has the member"):
        unpack(tar_with(tmp_path / "evil.tar", *members), tmp_path / "cache")
    assert nothing_is_left(tmp_path / "cache")


def test_links_inside_the_archive_become_copies(tmp_path: Path) -> None:
    archive = tar_with(
        tmp_path / "linked.tar",
        member("a/1_c1.jpg"),
        member("b/2_c1.jpg", tarfile.SYMTYPE, "../a/1_c1.jpg"),
        member("b/3_c1.jpg", tarfile.LNKTYPE, "a/1_c1.jpg"),
    )
    folder = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    assert files_below(folder) == {"a/1_c1.jpg": b"x", "b/2_c1.jpg": b"x", "b/3_c1.jpg": b"x"}
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in folder.rglob("*.jpg"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "cache")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("1_c1.jpg", b"x")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="encrypted"):
        unpack(tmp_path / "a.zip", tmp_path / "cache")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "twice"
    if kind == "tar":
        tar_with(archive, member("a"), member("a/1_c1.jpg"))
    else:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a", b"x")
            file.writestr("a/1_c1.jpg", b"x")
    with pytest.raises(ArchiveError, match="cannot be written"):
        unpack(archive, tmp_path / "cache")


def test_a_name_of_1000_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be written"):
        unpack(write_tar(tmp_path / "a.tar", {"1" * 1000: b"x"}), tmp_path / "cache")


def test_of_a_member_that_comes_twice_the_last_counts(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    write_tar(archive, {"1_c1.jpg": b"older"}, mode="w")
    write_tar(archive, {"1_c1.jpg": b"new"}, mode="a")
    assert unpack(archive, tmp_path / "cache") == {"1_c1.jpg": b"new"}
    assert unpack(archive, tmp_path / "cache") == {"1_c1.jpg": b"new"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_more_bytes_than_allowed_are_refused_to_the_byte(tmp_path: Path, mode: str) -> None:
    archive = write_tar(tmp_path / "a.tar", {"1_c1.jpg": b"a" * 600, "2_c1.jpg": b"b" * 400}, mode=mode)
    with pytest.raises(ArchiveError, match="more than the 999 bytes allowed"):
        unpack(archive, tmp_path / "cache", max_bytes=999)
    assert nothing_is_left(tmp_path / "cache")
    assert len(unpack(archive, tmp_path / "cache", max_bytes=1000)) == 2


def test_a_zip_that_lies_about_its_sizes_is_still_counted(tmp_path: Path) -> None:
    archive = tmp_path / "lies.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("1_c1.jpg", b"\0" * 5000)
    size = (5000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path / "cache", max_bytes=1000)


@pytest.mark.parametrize("where", ["member", "after the end", "header"])
def test_a_compression_bomb_is_refused(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "BOMB_FLOOR_BYTES", 5_000_000)
    zeros = bytes(80_000_000)
    archive = write_tar(tmp_path / "bomb.tar", {"1_c1.bmp": zeros if where == "member" else b"x"}, mode="w")
    plain = archive.read_bytes()
    if where == "after the end":
        plain += zeros
    if where == "header":  # an extended header that would be read into memory as a whole
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.XHDTYPE, len(zeros)
        plain = info.tobuf(tarfile.USTAR_FORMAT) + zeros + plain
    archive.write_bytes(gzip.compress(plain, 9))
    with pytest.raises(ArchiveError, match=r"compression bomb|header of 80,000,000 bytes|bytes follow its end"):
        unpack(archive, tmp_path / "cache", max_bytes=10**12)
    assert nothing_is_left(tmp_path / "cache")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 3)
    with pytest.raises(ArchiveError, match="more than 3 members"):
        unpack(write_tar(tmp_path / "a.tar", {f"{i}_c1.jpg": b"x" for i in range(4)}), tmp_path / "cache")


@pytest.mark.parametrize("opener", [bz2, lzma])
def test_other_compressions_that_hold_no_tar_are_refused(tmp_path: Path, opener: object) -> None:
    (tmp_path / "a").write_bytes(opener.compress(b"text" * 500))  # type: ignore[attr-defined]
    with pytest.raises(ArchiveError, match="not an archive of a known kind"):
        unpack(tmp_path / "a", tmp_path / "cache")


LIMITED = """
import resource, sys
from pathlib import Path
from reid.data.archives import open_folder
from reid.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    open_folder(sys.argv[1], cache_dir=Path(sys.argv[2]), max_bytes=10**9)
except StorageError as error:
    print(error)
"""


def test_a_file_size_limit_is_told_as_a_full_disk_and_leaves_nothing(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", {"1_c1.bmp": bytes(range(256)) * 1000})
    command = [sys.executable, "-c", LIMITED, str(archive), str(tmp_path / "cache")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "no space left" in told
    assert "dataset.cache_dir" in told
    assert nothing_is_left(tmp_path / "cache")


def test_a_full_disk_leaves_nothing_and_names_the_key_that_helps(tmp_path: Path, tiny_disk: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", {f"{pid}_c1.bmp": os.urandom(300_000) for pid in range(5)})
    with pytest.raises(StorageError, match=r"no space left .* dataset\.cache_dir"):
        unpack(archive, tiny_disk)
    assert nothing_is_left(tiny_disk)


def test_the_manifest_says_where_a_folder_came_from(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", IMAGES)
    folder = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=LIMIT)
    stated = json.loads(folder.with_name(f"{folder.name}.json").read_text())
    assert stated["archive"] == str(archive)
    assert stated["files"] == 2
    assert stated["bytes"] == sum(len(content) for content in IMAGES.values())


def test_a_folder_beside_an_archive_is_not_confused_with_it(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "sample.tar.gz", "1_c1.jpg")
    assert open_folder(folder, cache_dir=tmp_path / "cache", max_bytes=1) == folder
