"""The cache of fetched archives, extracted folders and packs: where it is, and how processes share it."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reid.errors import StorageError
from reid.files import storage_errors

log = logging.getLogger(__name__)


def cache_folder(cache_dir: str | Path = "") -> Path:
    """The absolute cache folder: `cache_dir` where one is given, else `$XDG_CACHE_HOME/reid`, else `~/.cache/reid`."""
    if str(cache_dir):
        return Path(cache_dir).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "reid"


def key_of(*parts: object) -> str:
    """32 hexadecimal characters that name an entry: equal for equal parts, and short enough for any file system."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:32]


def identity_of(file: Path) -> tuple[int, int, int]:
    """Size, time of the last change in nanoseconds, and inode: another after every write to the file or its name."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


@contextmanager
def exclusive(entry: Path) -> Iterator[None]:
    """Holds the lock of a cache entry, waiting for another process that is making the same entry.

    The lock is an advisory one on `<entry>.lock`; the kernel drops it when its holder dies, so none is ever stale.

    Raises:
        StorageError: the cache is not writable.
    """
    path = entry.with_name(f"{entry.name}.lock")
    with cache_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that is making %s", entry)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def cache_errors(path: Path) -> Iterator[None]:
    """Turns 'disk full' and 'not writable' into a StorageError that names `path` and the key that moves the cache."""
    try:
        with storage_errors(path):
            yield
    except StorageError as error:
        raise StorageError(
            error.found,
            "the cache must have room for fetched archives, extracted images and decoded pixels; nothing unfinished "
            "stands under a final name",
            f"free space on the disk of {path.parent}, or choose another place with dataset.cache_dir=...",
        ) from error
