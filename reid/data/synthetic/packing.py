"""Archives whose bytes follow from their members alone."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reid.files import atomic_path


@contextmanager
def archive(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar.gz without time stamps, names of machines or users: the same members give the same bytes.

    Raises:
        StorageError: the disk is full or not writable; the file does not appear then.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        yield tar


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Appends a file."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
