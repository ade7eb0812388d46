"""All images of a subset decoded and resized once: a memory-mapped uint8 array that every epoch and process shares.

An entry is `<cache>/packs/<key>.npy` and `<key>.json`. The key is made of the files' contents in their order, the input
size, the interpolation and the size out of which the middle is cut, so it can never be stale; the pixels are those that
`load_image` gives. A pack is read through and its checksums compared when it is opened, unless it is the file (size,
time, inode) of which that is known.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from reid.data.cache import cache_errors, exclusive, identity_of, key_of
from reid.data.images import RULE, Interpolation, Pixels, load_image, resized_size
from reid.data.parallel import CHUNK, map_chunks
from reid.data.progress import amount, progress
from reid.errors import DataError, ReidError
from reid.files import atomic_path, sha256_of, write_json

log = logging.getLogger(__name__)

Load = Callable[[Path], Pixels]


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
    resize: float = 1.0,
    digests: Sequence[str] | None = None,
    workers: int | None = None,
) -> Pack:
    """The pack of `paths`: opened when it is in the cache and whole, else made by all cores.

    Args:
        resize: see `Preprocess`.
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
    whole = resized_size(height, width, resize)
    rule = RULE if whole == (height, width) else f"{RULE}-middle-of-{whole[0]}x{whole[1]}"
    key = key_of(rule, interpolation, *shape, *digests)
    file = cache_dir / "packs" / f"{key}.npy"
    if _damage(file, shape, workers=workers):
        with exclusive(file):
            damage = _damage(file, shape, workers=workers)  # again: another process may have made it meanwhile
            if damage:
                if file.exists():
                    log.warning("the pack %s is damaged (%s) and is made again", file, damage)
                load = partial(load_image, height=height, width=width, interpolation=interpolation, resize=resize)
                _write(file, shape, paths, load, workers=workers)
    return Pack(file, tuple(paths))


def _write(file: Path, shape: tuple[int, ...], paths: Sequence[Path], load: Load, *, workers: int | None) -> None:
    """Each thread writes the rows it decoded; a full disk is then an error, where a full mapping kills the process."""
    started = time.monotonic()
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    with cache_errors(file):
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            stream.flush()
            write = partial(_write_chunk, load=load, descriptor=stream.fileno(), start=stream.tell())
            chunks = map_chunks(write, list(enumerate(paths)), workers=workers)
            checksums = list(_advancing("decoding", chunks, len(paths)))
        _remember(file, shape, checksums, identity_of(file))
    size = amount(file.stat().st_size, "B")
    log.info("decoded %d images of %dx%d to %s in %.1f s", *shape[:3], size, time.monotonic() - started)


def _write_chunk(numbered: Sequence[tuple[int, Path]], *, load: Load, descriptor: int, start: int) -> int:
    """Writes consecutive rows to their place; returns their CRC-32."""
    checksum = 0
    for row, path in numbered:
        image = load(path)
        rest, place = image.data.cast("B"), start + row * image.nbytes
        checksum = zlib.crc32(rest, checksum)
        while rest:  # a disk that has become full takes a part first, and refuses the rest
            written = os.pwrite(descriptor, rest, place)
            rest, place = rest[written:], place + written
    return checksum


def _damage(file: Path, shape: tuple[int, ...], *, workers: int | None) -> str:
    """Why the stored pack cannot be used; "" when it can. It is read through unless it is the file that was last."""
    try:
        stored = json.loads(_sidecar(file).read_text(encoding="utf-8"))
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if array.shape != shape or array.dtype != np.uint8 or stored.get("shape") != list(shape):
            return f"it holds {array.dtype} {array.shape}, not uint8 {shape}"
        identity = identity_of(file)
        if stored.get("verified") == list(identity):
            return ""
        started = time.monotonic()
        chunks = map_chunks(partial(_checksum, array), range(len(array)), workers=workers)
        if list(_advancing("verifying", chunks, len(array))) != stored.get("crc32"):
            return "its checksum differs"
    except (OSError, ValueError, EOFError) as error:
        return str(error)
    log.info("verified %s of decoded images in %.1f s", amount(array.nbytes, "B"), time.monotonic() - started)
    with suppress(ReidError):  # a cache that is read-only here is read through each time
        _remember(file, shape, stored["crc32"], identity)
    return ""


def _checksum(array: Pixels, rows: Sequence[int]) -> int:
    return zlib.crc32(array[rows[0] : rows[-1] + 1].data)


def _remember(file: Path, shape: tuple[int, ...], checksums: Sequence[int], identity: Sequence[int]) -> None:
    """Writes what the file holds, and which file it is that was seen to hold it."""
    content = {"shape": list(shape), "crc32": list(checksums), "verified": list(identity)}
    write_json(_sidecar(file), content, indent=None)


def _advancing(label: str, checksums: Iterable[int], total: int) -> Iterator[int]:
    """Passes the checksums of chunks on and shows how far they are."""
    with progress(label, total, unit="images") as advance:
        for number, checksum in enumerate(checksums):
            advance(min(CHUNK, total - number * CHUNK))
            yield checksum


def _digests(paths: Sequence[Path], *, workers: int | None) -> list[str]:
    return [digest for chunk in map_chunks(_hash_chunk, paths, workers=workers) for digest in chunk]


def _hash_chunk(paths: Sequence[Path]) -> list[str]:
    return [sha256_of(path) for path in paths]


def _sidecar(file: Path) -> Path:
    return file.with_suffix(".json")
