"""Downloads one remote object into the cache: streamed, resumed, retried, verified, under its name only when whole.

A download goes to `<cache>/downloads/<key>/<name>.part`. The key is made of the location and of the version that the
source states (ETag or date), so a second call downloads nothing, and a changed object is another entry.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reid.data.cache import cache_errors, exclusive, key_of
from reid.data.progress import amount, progress
from reid.data.sources import Source, Stream, TransientError
from reid.errors import FetchError, StorageError

if TYPE_CHECKING:
    from tenacity import RetryCallState

log = logging.getLogger(__name__)

T = TypeVar("T")


def download(source: Source, *, name: str, cache_dir: Path, max_bytes: int | None, patience: Patience) -> Path:
    """The cached file with the content of `source`; downloaded when this version is not there yet.

    Args:
        name: base name for the file; what is unusual in a file name is replaced.

    Raises:
        FetchError: refused, missing, too large, or or the patience is at its end.
        StorageError: the disk is full or the cache not writable.
    """
    reached = Reached()
    folder = cache_dir / "downloads"
    name = re.sub(r"[^\w.+-]", "_", name)[-100:].lstrip(".") or "download"
    return with_retries(
        lambda: _attempt(source, folder, name, max_bytes, reached),
        label=source.label,
        patience=patience,
        reached=reached,
    )


@dataclass(frozen=True)
class Patience:
    """How long a transfer is tried.

    Attributes:
        attempts: failures in a row, without one new byte, after which it is given up.
        backoff_s: pause before the second attempt; it doubles up to 30 s.
    """

    attempts: int = 5
    backoff_s: float = 1.0


@dataclass
class Reached:
    """The most bytes of an object that any attempt has had; attempts that get further do not count as failures."""

    bytes: int = 0


def with_retries(function: Callable[[], T], *, label: str, patience: Patience, reached: Reached | None = None) -> T:
    """Calls `function` again after each `TransientError`, with growing pauses.

    Args:
        label: what log lines and the error call the object.
        reached: kept up to date by `function` where it can resume.

    Raises:
        FetchError: the patience is at its end.
    """
    from tenacity import Retrying, retry_if_exception_type, wait_exponential

    in_a_row = furthest = 0
    reached = reached or Reached()

    def give_up(state: RetryCallState) -> bool:
        nonlocal in_a_row, furthest
        in_a_row = 1 if reached.bytes > furthest else in_a_row + 1
        furthest = max(furthest, reached.bytes)
        return in_a_row >= patience.attempts

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause_s = state.next_action.sleep if state.next_action else 0.0
        log.warning("%s: %s; trying again in %.1f s", label, error, pause_s)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_exponential(multiplier=patience.backoff_s, max=30),
        stop=give_up,
        before_sleep=tell,
        reraise=True,
    )
    try:
        return retrying(function)
    except TransientError as error:
        raise FetchError(
            f"{label} could not be fetched: {error} ({patience.attempts} tries in a row without one new byte)",
            "the network or the server does not answer as it should",
            "check the address, the network and the proxy settings, then run again: what has arrived is kept",
        ) from error


def receive(stream: Stream, part: Path, advance: Callable[[int], None]) -> None:
    """Appends the stream to `part` at `stream.start`; what has arrived is on disk even when the stream breaks.

    Raises:
        StorageError: the disk is full or not writable.
        FetchError: the stream refused to go on. In both cases `part` is removed, so as not to leave the disk full.
    """
    try:
        with cache_errors(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("r+b" if stream.start else "wb") as file:
                file.truncate(stream.start)
                file.seek(stream.start)
                for chunk in stream.chunks:
                    file.write(chunk)
                    advance(len(chunk))
                file.flush()
                os.fsync(file.fileno())
    except (StorageError, FetchError):
        part.unlink(missing_ok=True)
        raise


def verify(part: Path, stream: Stream) -> None:
    """Compares size and MD5 with what the source states, where it does.

    Raises:
        TransientError: they differ; a short file is kept for resuming, any other is removed.
    """
    size = part.stat().st_size
    if stream.size is not None and size < stream.size:
        raise TransientError(f"only {size} of {stream.size} bytes arrived")
    if stream.size is not None and size > stream.size:
        part.unlink()
        raise TransientError(f"{size} bytes arrived, more than the {stream.size} that were announced")
    if stream.md5:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != stream.md5:
            part.unlink()
            raise TransientError(f"the content arrived damaged: its MD5 is {found}, the source states {stream.md5}")


def refuse_larger(label: str, size: int | None, max_bytes: int | None) -> None:
    """Refuses what is larger than allowed.

    Raises:
        FetchError: `size` is above `max_bytes`.
    """
    if size is not None and max_bytes is not None and size > max_bytes:
        raise FetchError(
            f"{label} has at least {size:,} bytes, more than the {max_bytes:,} allowed",
            "a data set that is larger than expected may be the wrong one, or fill the disk",
            "raise dataset.max_archive_gb if it is right",
        )


def _attempt(source: Source, folder: Path, name: str, max_bytes: int | None, reached: Reached) -> Path:
    with source.open() as whole:
        refuse_larger(source.label, whole.size, max_bytes)
        entry = folder / key_of(source.identity, whole.version, whole.size) / name
        with exclusive(entry):
            if whole.version and entry.is_file():
                log.info("%s is in the cache: %s", source.label, entry)
                return entry
            _complete(source, whole, entry.with_name(f"{name}.part"), max_bytes, reached)
            with cache_errors(entry):
                entry.with_name(f"{name}.part").replace(entry)
    return entry


def _complete(source: Source, whole: Stream, part: Path, max_bytes: int | None, reached: Reached) -> None:
    """Makes `part` hold the object: from the start, or from where an earlier attempt ended."""
    have = part.stat().st_size if part.is_file() else 0
    started = time.monotonic()
    try:
        with progress(f"fetching {source.label}", whole.size, unit="B") as advance:
            if not whole.version or whole.size is None or not 0 < have <= whole.size:
                have = 0
                receive(_limited(whole, source.label, max_bytes), part, advance)
            elif have < whole.size:
                whole.close()
                with source.open(have, whole.version) as rest:
                    if rest.version != whole.version or rest.start not in (0, have):
                        raise TransientError("the object changed during the download")
                    have = rest.start
                    log.info("resuming %s after %s", source.label, amount(have, "B"))
                    advance(have)
                    receive(rest, part, advance)
        verify(part, whole)
    finally:
        reached.bytes = max(reached.bytes, part.stat().st_size if part.is_file() else 0)
    seconds = time.monotonic() - started
    log.info("fetched %s: %s in %.1f s", source.label, amount(part.stat().st_size - have, "B"), seconds)


def _limited(stream: Stream, label: str, max_bytes: int | None) -> Stream:
    """The same stream, which refuses to go on past `max_bytes`: a source need not say how long it is."""

    def chunks() -> Iterator[bytes]:
        arrived = 0
        for chunk in stream.chunks:
            arrived += len(chunk)
            refuse_larger(label, arrived, max_bytes)
            yield chunk

    return replace(stream, chunks=chunks())
