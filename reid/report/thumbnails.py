"""Small pictures inside a page: each image once, however often it is shown, and no more bytes than the page may have.

WebP, since the tables that every JPEG carries would be half of a picture of this size.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from reid.data.images import decode
from reid.errors import DataError

ImageSource = Callable[[str], Image.Image | None]
"""The picture behind a path; None where there is none."""

MIME = "image/webp"

_SIZES = ((256, 82), (192, 75), (128, 60))  # longer side in pixels and WebP quality, the best first
_TRIED = 48  # pictures encoded to learn which size fits
_MARGIN = 1.1  # pictures that were not tried may be larger


class Album:
    """Encoded pictures under a budget.

    Args:
        source: opens a picture; called from several threads.
        paths: all pictures that the page would like to show; the best size at which all fit is chosen, or else the
            smallest, at which some will not.
        budget_bytes: what the pictures may take in the page.

    Attributes:
        pictures: base64 of each, in the format `MIME`.
        missing: paths without a picture, among those that were added.
        aspect: width over height that suits most of them.
    """

    def __init__(self, source: ImageSource, paths: Iterable[str], budget_bytes: int) -> None:
        self.pictures: list[str] = []
        self.missing = 0
        self._left = budget_bytes
        self._known: dict[str, int] = {}
        wanted = sorted(set(paths))
        some = [image for image in map(source, wanted[:: 1 + len(wanted) // _TRIED]) if image is not None]
        self.aspect = _aspect(some)
        size = _size_for(some, len(wanted), budget_bytes)
        self._encode = partial(_read, source, size)

    def add(self, groups: Sequence[Sequence[str]]) -> int:
        """Takes in groups of pictures (a query with its candidates) as long as whole groups fit.

        Returns:
            How many groups are in, from the start; a picture that cannot be read needs no room.
        """
        workers = min(8, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(groups), 16 * workers):
                part = groups[start : start + 16 * workers]
                new = list(dict.fromkeys(path for group in part for path in group if path not in self._known))
                encoded = dict(zip(new, pool.map(self._encode, new), strict=True))
                for number, group in enumerate(part, start=start):
                    if not self._take({path: encoded[path] for path in group if path not in self._known}):
                        return number
        return len(groups)

    def position(self, path: str) -> int:
        """Where a picture is in `pictures`; -1 when it is not there."""
        return self._known.get(path, -1)

    def _take(self, encoded: dict[str, str | None]) -> bool:
        cost = sum(len(picture) + len('"",') for picture in encoded.values() if picture)
        if cost > self._left:
            return False
        self._left -= cost
        for path, picture in encoded.items():
            self._known[path] = len(self.pictures) if picture else -1
            if picture:
                self.pictures.append(picture)
            else:
                self.missing += 1
        return True


def open_file(path: str) -> Image.Image | None:
    """The image file at that path; None where it is missing or cannot be read."""
    try:
        return decode(Path(path).read_bytes(), name=path)
    except (OSError, ValueError, DataError):  # ValueError: a name that no file can have
        return None


def _size_for(some: Sequence[Image.Image], wanted: int, budget_bytes: int) -> tuple[int, int]:
    """The best size at which so many pictures fit, judged by some of them; the smallest if none does."""
    for size in _SIZES:
        if _MARGIN * wanted * sum(len(_encode(image, size)) for image in some) <= budget_bytes * len(some):
            return size
    return _SIZES[-1]


def _aspect(some: Sequence[Image.Image]) -> float:
    """The middle one, kept between a standing person's and a screen's; 1/2, a pedestrian's, without pictures."""
    shapes = sorted(image.width / image.height for image in some)
    return round(min(max(shapes[len(shapes) // 2], 1 / 3), 4 / 3), 3) if shapes else 0.5


def _read(source: ImageSource, size: tuple[int, int], path: str) -> str | None:
    image = source(path) if path else None
    return None if image is None else _encode(image, size)


def _encode(image: Image.Image, size: tuple[int, int]) -> str:
    """Base64 of a picture, shrunk to that longer side."""
    pixels, quality = size
    small = image.convert("RGB")
    small.thumbnail((pixels, pixels))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=2)  # 4 takes twice the time for 6 % fewer bytes
    return base64.b64encode(buffer.getvalue()).decode("ascii")
