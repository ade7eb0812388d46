"""What a remote object is to the rest of the room: something that opens as a stream of bytes, from any offset.

Resuming, retrying, verifying and caching are in `fetch.py`, the same for every kind of source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from reid.errors import NoSuchSource

CHUNK_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60


class MissingObject(NoSuchSource):
    """There is no object of this key. It may still be the "folder" above other keys."""


class TransientError(Exception):
    """The transfer may succeed when it is tried again: connection lost, server busy, object changed meanwhile."""


@dataclass(frozen=True)
class Stream:
    """An open download.

    Attributes:
        start: offset of the first byte that will come; 0 when the source did not honour the offset asked for.
        size: bytes of the whole object, None when the source does not say.
        version: an identifier that changes with the content (a strong ETag, or a date), "" when there is none.
        md5: hexadecimal MD5 of the content where the source states it, else "".
        chunks: the bytes.
        close: ends the transfer early; may be called twice.
    """

    start: int
    size: int | None
    version: str
    md5: str
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Source(Protocol):
    """One remote object."""

    @property
    def label(self) -> str:
        """The location as it may be shown: no password, no signature."""

    @property
    def identity(self) -> str:
        """The location without what differs from one signature to the next; with the version it names the content."""

    def open(self, start: int = 0, version: str = "") -> AbstractContextManager[Stream]:
        """A context manager that gives a `Stream` from byte `start` of the object in `version`.

        Raises:
            TransientError: worth another try.
            FetchError: not worth another try.
        """


def content_range(value: str) -> tuple[int, int | None]:
    """First byte and whole size of `bytes 5-9/10`; (0, None) for an empty text, which means the object from its start.

    Raises:
        TransientError: the source sent a part that it does not describe.
    """
    if not value:
        return 0, None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", value.strip())
    if match is None:
        raise TransientError(f"the source sent an unusable Content-Range: {value!r}")
    return int(match[1]), None if match[2] == "*" else int(match[2])
