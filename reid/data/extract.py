"""Extracts .tar, .tar.gz and .zip files that somebody else made, trusting nothing they say.

Only folders and regular files are ever created. A link to another file of the archive becomes a copy of it; links out,
absolute paths, `..` and devices are refused by our own check of the name and by `tarfile.data_filter`.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from reid.data.members import CHUNK_BYTES, MemberWriter
from reid.errors import ArchiveError

_COMPRESSED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_LARGEST_SLACK_BYTES = 64 << 20  # of one header, and of what follows the end: neither is an image
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, ValueError, OverflowError, struct.error, NotImplementedError),
)
_BAD_NAMES = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}


@dataclass(frozen=True)
class Written:
    """How much an extraction wrote.

    Attributes:
        files: regular files.
        bytes: the sum of their sizes.
    """

    files: int
    bytes: int


def extract(archive: Path, folder: Path, *, label: str, max_bytes: int) -> Written:
    """Extracts `archive` into `folder`, which is made; the kind is told by the content, not by the name.

    When it raises, `folder` may hold a part of the files: the caller gives a temporary folder and removes it.

    Args:
        label: what errors call the archive.
        max_bytes: largest sum of the extracted files' sizes.

    Raises:
        ArchiveError: truncated, damaged, unsafe, too large, encrypted, or of an unknown kind.
    """
    folder.mkdir(parents=True)
    writer = MemberWriter(folder, label, max_bytes, packed_bytes=archive.stat().st_size)
    try:
        with archive.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                _extract_zip(file, writer)
            else:
                _extract_tar(file, magic, writer)
    except _DAMAGED as error:
        raise _damaged(writer, error) from error
    except OSError as error:
        if error.errno is None:  # bz2 reports bad data so
            raise _damaged(writer, error) from error
        if error.errno in _BAD_NAMES:
            raise ArchiveError(
                f"the archive {label} names a file that cannot be written: {error.filename!r} ({error.strerror})",
                "the name is too long, or stands both for a file and for a folder",
                "make the archive again with other names",
            ) from error
        raise
    return Written(writer.files, sum(writer.sizes.values()))


def _extract_tar(file: BinaryIO, magic: bytes, writer: MemberWriter) -> None:
    opener = next((opener for start, opener in _COMPRESSED if magic.startswith(start)), None)
    with cast(BinaryIO, opener(file, "rb")) if opener else file as plain:
        _require_tar(plain.read(tarfile.BLOCKSIZE), writer.label)
        plain.seek(0)
        reader = _Reader(plain)
        with tarfile.TarFile(fileobj=cast(IO[bytes], reader), errorlevel=1) as tar:
            while (member := tar.next()) is not None:
                _extract_member(tar, member, writer)
                tar.members = []  # type: ignore[attr-defined]  # tarfile would keep every member it has seen
        # tarfile takes a damaged header, or a file cut between two members, for the end. A real end is a zero block.
        if reader.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it stops, or has a damaged header, where another member or its end should be")
        padding = 0
        while chunk := plain.read(CHUNK_BYTES):  # to the end, so that the compressor's own checksum is compared
            padding += len(chunk)
            if padding > _LARGEST_SLACK_BYTES:
                raise tarfile.ReadError(f"more than {_LARGEST_SLACK_BYTES:,} bytes follow its end")


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, writer: MemberWriter) -> None:
    path = writer.place(member.name)
    try:
        tarfile.data_filter(member, str(writer.folder))
    except tarfile.FilterError as error:
        raise writer.unsafe(member.name, f"Python's own check refuses it: {error}") from error
    if member.isdir():
        writer.make_folder(path)
    elif member.issym():
        writer.copy(path, PurePosixPath(posixpath.normpath(path.parent / member.linkname)))
    elif member.islnk():
        writer.copy(path, PurePosixPath(posixpath.normpath(member.linkname)))
    elif member.isreg():
        source = tar.extractfile(member)
        assert source is not None, "regular members have content"
        with source:
            writer.write(path, source)
    else:
        raise writer.unsafe(member.name, "it is neither a file nor a folder nor a link")


def _extract_zip(file: BinaryIO, writer: MemberWriter) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            path = writer.place(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise writer.unsafe(member.filename, "it is a link or a device")
            if member.flag_bits & 1:
                raise ArchiveError(f"the archive {writer.label} is encrypted", "", "give one without a password")
            if member.is_dir():
                writer.make_folder(path)
            else:
                with archive.open(member) as source:
                    writer.write(path, source)


def _require_tar(block: bytes, label: str) -> None:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if block == bytes(tarfile.BLOCKSIZE):  # a tar of nothing
            return
        raise ArchiveError(
            f"{label} is not an archive of a known kind, or is cut off in its first {tarfile.BLOCKSIZE} bytes",
            "",
            "use .tar, .tar.gz or .zip, or give a folder",
        ) from error


def _damaged(writer: MemberWriter, error: Exception) -> ArchiveError:
    return ArchiveError(
        f"the archive {writer.label} is truncated or damaged after {writer.files} files: {error}",
        "it cannot be known what is missing",
        "copy or make it again, and compare its size with the source's",
    )


class _Reader:
    """The uncompressed tar, remembering the last read; no header may be so long that it fills the memory."""

    def __init__(self, plain: BinaryIO) -> None:
        self._plain = plain
        self.last = b""

    def read(self, size: int) -> bytes:
        if size > _LARGEST_SLACK_BYTES:
            raise tarfile.ReadError(f"it has a header of {size:,} bytes")
        self.last = self._plain.read(size)
        return self.last

    def seek(self, position: int) -> int:
        return self._plain.seek(position)

    def tell(self) -> int:
        return self._plain.tell()
