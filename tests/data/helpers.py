"""Small real images and archives, and the state of the HTTP server that tests talk to."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def jpeg(seed: int, *, height: int = 32, width: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_images(folder: Path, *names: str, first_seed: int = 0) -> Path:
    """Each name gets its own picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names, first_seed):
        (folder / name).write_bytes(jpeg(seed))
    return folder


def write_tar(path: Path, members: dict[str, bytes], *, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@dataclass
class Site:
    """What the HTTP server serves, how it misbehaves, and what it was asked.

    Attributes:
        content: the bytes behind every path.
        etag: sent when not empty.
        statuses: answered, one for each request, before anything else is.
        drop_after: bytes after which the connection is cut, one for each request; None sends all.
        ranges: whether Range requests are honoured.
        says_length: whether Content-Length is sent.
        body: sent with a status other than 200.
        between: called after a connection was cut, for example to change the content.
        asked: the Range header of each request, "" for none.
        headers: all headers of each request, names in lower case.
        url: where it is.
    """

    content: bytes = b""
    etag: str = '"v1"'
    statuses: list[int] = field(default_factory=list)
    body: bytes = b""
    drop_after: list[int | None] = field(default_factory=list)
    ranges: bool = True
    says_length: bool = True
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    between: Callable[[Site], Any] | None = None
    url: str = ""
