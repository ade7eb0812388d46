"""From what a `*_dataset_dir` key names, a folder, an archive or a URI to either, to a folder on this machine.

An archive is extracted once into `<cache>/archives/<SHA-256 of the archive>/`: by its content, so that the same archive
from a bucket and from a disk share one entry, and a changed archive gets another.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path

from reid.data.cache import cache_errors, exclusive
from reid.data.extract import Written, extract
from reid.data.fetch import DEFAULT_PATIENCE, fetch, scheme_of
from reid.data.progress import amount
from reid.data.transfer import Patience
from reid.errors import ArchiveError, DataError
from reid.files import sha256_of, write_json

log = logging.getLogger(__name__)


def open_folder(
    location: str | Path, *, cache_dir: Path, max_bytes: int, patience: Patience = DEFAULT_PATIENCE
) -> Path:
    """The folder with the files of `location`.

    Args:
        location: a folder (returned as it is), a .tar, .tar.gz or .zip file (told apart by content), or a file://,
            https://, http:// or s3:// URI to one; s3:// may also name a "folder" of images.
        max_bytes: largest download, and largest sum of the extracted files.
        patience: how long a failing transfer is tried again.

    Raises:
        DataError: there is nothing under that name.
        ArchiveError: the archive is truncated, damaged, of an unknown kind, larger than `max_bytes`, a compression
            bomb, or would write outside its folder.
        FetchError: a URI cannot be fetched.
        StorageError: the disk is full or the cache not writable.
    """
    text = str(location)
    if scheme_of(text):
        path = fetch(text, cache_dir=cache_dir, max_bytes=max_bytes, patience=patience)
    else:
        path = Path(text).expanduser().absolute()
    if path.is_dir():
        return path
    if not path.is_file():
        raise DataError(
            f"{path} does not exist" if not path.exists() else f"{path} is neither a folder nor a file",
            "",
            "give a folder of images, an archive of one (.tar, .tar.gz, .zip), or a URI to one (s3://, https://, file://)",
        )
    return _extracted(path, label=text, cache_dir=cache_dir, max_bytes=max_bytes)


def _extracted(archive: Path, *, label: str, cache_dir: Path, max_bytes: int) -> Path:
    digest = sha256_of(archive)
    folder = cache_dir / "archives" / digest[:32]
    manifest = folder.with_name(f"{folder.name}.json")
    with exclusive(folder):
        if folder.is_dir():
            if _written(folder) == _stated(manifest):
                log.info("%s is already extracted in %s", label, folder)
                return folder
            log.warning("%s is not as it was extracted; extracting %s again", folder, label)
        stage = folder.with_name(f"{folder.name}.part")
        started = time.monotonic()
        shutil.rmtree(stage, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with cache_errors(folder):
                written = extract(archive, stage, label=label, max_bytes=max_bytes)
                if not written.files:
                    raise ArchiveError(f"the archive {label} holds no file", "", "check how it was made")
                write_json(
                    manifest, {"archive": label, "sha256": digest, "files": written.files, "bytes": written.bytes}
                )
                stage.replace(folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    seconds = time.monotonic() - started
    log.info("extracted %s: %d files, %s in %.1f s", label, written.files, amount(written.bytes, "B"), seconds)
    return folder


def _written(folder: Path) -> Written:
    """What is really there: a machine that lost power can leave empty files, and cache cleaners take single ones."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Written(len(sizes), sum(sizes))


def _stated(manifest: Path) -> Written | None:
    try:
        values = json.loads(manifest.read_text(encoding="utf-8"))
        return Written(int(values["files"]), int(values["bytes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
