"""Files that are either whole or absent: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reid.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_READ_ONLY = {errno.EACCES, errno.EROFS, errno.EPERM}


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; when the block ends well it is synced and renamed to `path`.

    When the block raises, the temporary file is removed and `path` is as it was before.

    Raises:
        StorageError: the disk is full, over quota or not writable.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's 'disk full' and 'not writable' into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(
                f"no space left while writing {path}",
                "the file was not finished, and what stood under its name before is untouched",
                f"free space on the disk of {path.parent}, or choose another place with results_dir=... and run again",
            ) from error
        if error.errno in _READ_ONLY:
            raise StorageError(
                f"{path} cannot be written ({error.strerror})",
                "the results folder must be writable",
                "choose another place with results_dir=..., or change the folder's permissions",
            ) from error
        raise


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes of this machine from opening it here while the block runs.

    Raises:
        StorageError: another process writes to it, or it cannot be made.
    """
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        raise StorageError(
            f"the folder {folder} cannot be made ({error.strerror})",
            "results need a folder of their own",
            "choose another place with results_dir=...",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"another process is writing to {folder}",
                "two of them would mix their files",
                "wait for it to end, or choose another results_dir",
            ) from error
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of `atomic_path` that a killed process left; call it as the folder's sole writer."""
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Writes strict JSON (no NaN, no Infinity), whole or not at all."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def replace_link(link: Path, target: Path) -> None:
    """Points the symbolic link `link` at `target` (relative, same folder) without a moment when it is missing."""
    temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}.tmp")
    with storage_errors(link):
        temporary.symlink_to(os.path.relpath(target, link.parent))
        temporary.replace(link)


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
