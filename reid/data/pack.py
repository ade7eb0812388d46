"""All images of a subset decoded and resized once: a memory-mapped uint8 array that every epoch and process shares.

An entry is `<cache>/packs/<key>.npy` and `<key>.json`. The key is made of the files' contents in their order, the input
size and the interpolation, so it can never be stale; the pixels are those that `load_image` gives.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from reid.data.cache import cache_errors, exclusive, key_of
from reid.data.images import Interpolation, Pixels, load_image
from reid.data.parallel import map_chunks
from reid.data.progress import amount, progress
from reid.errors import DataError
from reid.files import atomic_path, sha256_of, write_json

log = logging.getLogger(__name__)

RULE = "pillow-rgb-1"
"""Part of the key: a new value whenever `load_image` would give other pixels."""


@dataclass(frozen=True)
class Pack:
    """Decoded images, row i is `paths[i]`.

    It is cheap to send to another process: that one maps the same file.

    Attributes:
        file: the .npy file.
        paths: the image files, in the order of the rows.
    """

    file: Path
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def array(self) -> Pixels:
        """uint8 [N, H, W, 3], RGB, read-only, mapped on first use."""
        return cast(Pixels, np.load(self.file, mmap_mode="r", allow_pickle=False))

    def images(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Pixels:
        """Copies the rows `indices` to memory: uint8 [B, H, W, 3]."""
        return np.asarray(self.array[np.asarray(indices, dtype=np.intp)])

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "paths": self.paths}


def pack_images(
    paths: Sequence[Path],
    *,
    height: int,
    width: int,
    interpolation: Interpolation,
    cache_dir: Path,
    digests: Sequence[str] | None = None,
    workers: int | None = None,
) -> Pack:
    """The pack of `paths`: opened when it is in the cache and whole, else made by all cores.

    Args:
        digests: SHA-256 of each file, in the order of `paths` (`DatasetReport.digests` has them); None to compute them.
        workers: threads; None for one a core.

    Raises:
        DataError: `paths` is empty, or an image cannot be read; `checks.usable` leaves such images out beforehand.
        StorageError: the disk is full or the cache not writable.
    """
    if not paths:
        raise DataError("there is no image to decode", "", "check the data set with `reid dataset check`")
    digests = _digests(paths, workers=workers) if digests is None else digests
    assert len(digests) == len(paths), "one digest for each path"
    shape = (len(paths), height, width, 3)
    key = key_of(RULE, interpolation, *shape, *digests)
    file = cache_dir / "packs" / f"{key}.npy"
    if _damage(file, shape):
        with exclusive(file):
            damage = _damage(file, shape)  # again: another process may have made it meanwhile
            if damage:
                if file.exists():
                    log.warning("the pack %s is damaged (%s) and is made again", file, damage)
                load = partial(_load_chunk, height=height, width=width, interpolation=interpolation)
                _write(file, shape, paths, load, workers=workers)
    return Pack(file, tuple(paths))


def _write(file: Path, shape: tuple[int, ...], paths: Sequence[Path], load: Any, *, workers: int | None) -> None:
    """Writes rows in order as a plain stream: a full disk is then an error, where a full mapping kills the process."""
    started = time.monotonic()
    checksum = 0
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    with cache_errors(file), progress("decoding", len(paths), unit="images") as advance:
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for images in map_chunks(load, paths, workers=workers):
                checksum = zlib.crc32(images, checksum)
                stream.write(images)
                advance(len(images))
        write_json(_sidecar(file), {"shape": list(shape), "crc32": checksum})
    size = amount(file.stat().st_size, "B")
    log.info("decoded %d images of %dx%d to %s in %.1f s", *shape[:3], size, time.monotonic() - started)


def _damage(file: Path, shape: tuple[int, ...]) -> str:
    """Why the stored pack cannot be used; "" when it can. Reading it through also warms the page cache."""
    try:
        stored = json.loads(_sidecar(file).read_text(encoding="utf-8"))
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return str(error)
    if array.shape != shape or array.dtype != np.uint8 or stored.get("shape") != list(shape):
        return f"it holds {array.dtype} {array.shape}, not uint8 {shape}"
    checksum = 0
    for start in range(0, len(array), 256):
        checksum = zlib.crc32(array[start : start + 256], checksum)
    return "" if checksum == stored.get("crc32") else "its checksum differs"


def _load_chunk(paths: Sequence[Path], *, height: int, width: int, interpolation: Interpolation) -> Pixels:
    return np.stack([load_image(path, height=height, width=width, interpolation=interpolation) for path in paths])


def _digests(paths: Sequence[Path], *, workers: int | None) -> list[str]:
    return [digest for chunk in map_chunks(_hash_chunk, paths, workers=workers) for digest in chunk]


def _hash_chunk(paths: Sequence[Path]) -> list[str]:
    return [sha256_of(path) for path in paths]


def _sidecar(file: Path) -> Path:
    return file.with_suffix(".json")
