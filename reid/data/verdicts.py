"""Which image files can be decoded, and the hash of each: found out once, and known for as long as no file changes.

An entry is `<cache>/checks/<key>.json`, one for each folder: it holds what was found of every file, and which file that
was (size, time, inode). Only files that are new or others since are read again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import PIL

from reid.data.cache import exclusive, identity_of, key_of
from reid.data.images import RULE, decode
from reid.data.parallel import map_chunks
from reid.data.progress import progress
from reid.data.records import Subset
from reid.errors import DataError, StorageError
from reid.files import write_json

log = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """What was found of one file.

    Attributes:
        digest: SHA-256 of its bytes, hexadecimal; of no bytes where it cannot be opened.
        reason: why it is unreadable; "" where it can be decoded.
        identity: which file that was, by `identity_of`; empty where it cannot be opened, which is never remembered.
    """

    digest: str
    reason: str
    identity: tuple[int, ...]


def judge(subset: Subset, *, cache_dir: Path | None, workers: int | None = None) -> dict[Path, Verdict]:
    """The verdict on every image of a subset that was read from one folder, in the order of their paths.

    Of several processes that ask at the same time, one reads the files; the others wait for what it writes down. A
    cache that cannot be written is no reason to fail here: the files are read each time then.

    Args:
        subset: of one folder.
        cache_dir: keeps the verdicts; None to read every file and to keep nothing.
        workers: threads; None for one a core.
    """
    started = time.monotonic()
    images = subset.images
    if cache_dir is None:
        known, found = dict[Path, Verdict](), _read(subset.called, images, workers=workers)
    else:
        known, found = _with_memory(subset, _entry(cache_dir, subset.root), workers=workers)
    verdicts = {path: known.get(path) or found[path] for path in images}
    log.info(
        "checked %s: %d images (%d of them unchanged since an earlier check), %d unreadable, %.1f s",
        *(subset.called, len(images), len(known), sum(bool(verdict.reason) for verdict in verdicts.values())),
        time.monotonic() - started,
    )
    return verdicts


def _with_memory(
    subset: Subset, entry: Path, *, workers: int | None
) -> tuple[dict[Path, Verdict], dict[Path, Verdict]]:
    """What was known before, and what was found out now."""
    known = _known(_rows(entry), subset.images)
    if len(known) == len(subset.images):
        return known, {}
    with ExitStack() as lock:
        with suppress(StorageError, OSError):
            lock.enter_context(exclusive(entry))
        rows = _rows(entry)  # again: another process may have read the files meanwhile
        known = _known(rows, subset.images)
        found = _read(subset.called, [path for path in subset.images if path not in known], workers=workers)
        new = {str(path): verdict for path, verdict in found.items() if verdict.identity}
        with suppress(StorageError, OSError):
            write_json(entry, rows | new, indent=None)  # others stay: a part of a folder may be asked for as well
    return known, found


def _entry(cache_dir: Path, root: Path) -> Path:
    """One that another version of Pillow made is another: what it could not decode, a newer one may."""
    return cache_dir / "checks" / f"{key_of(RULE, PIL.__version__, root)}.json"


def _rows(entry: Path) -> dict[str, Any]:
    """The fields of a `Verdict` for each file that was ever looked at."""
    try:
        rows: dict[str, Any] = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or it is damaged and written anew
        return {}
    return rows


def _known(rows: dict[str, Any], images: Sequence[Path]) -> dict[Path, Verdict]:
    """The remembered verdicts on those images that are the very files they were."""
    known = {}
    for path in images:
        with suppress(KeyError, OSError):
            digest, reason, identity = rows[str(path)]
            if tuple(identity) == identity_of(path):
                known[path] = Verdict(digest, reason, tuple(identity))
    return known


def _read(name: str, paths: Sequence[Path], *, workers: int | None) -> dict[Path, Verdict]:
    """Reads, hashes and decodes each file once."""
    found: dict[Path, Verdict] = {}
    with progress(f"checking {name}", len(paths), unit="images") as advance:
        for verdicts in map_chunks(_read_chunk, paths, workers=workers):
            found |= verdicts
            advance(len(verdicts))
    return found


def _read_chunk(paths: Sequence[Path]) -> dict[Path, Verdict]:
    return {path: _read_one(path) for path in paths}


def _read_one(path: Path) -> Verdict:
    try:
        identity = identity_of(path)  # before its bytes: of a file that changes meanwhile, the verdict is not kept
        data = path.read_bytes()
    except OSError as error:
        return Verdict(sha256(b"").hexdigest(), f"it cannot be opened ({error.strerror})", ())
    try:
        decode(data, name="it")  # the path stands beside the reason wherever that is shown
    except DataError as error:
        return Verdict(sha256(data).hexdigest(), error.found, identity)
    return Verdict(sha256(data).hexdigest(), "", identity)
