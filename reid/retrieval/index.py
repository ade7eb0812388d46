"""An approximate index (faiss) of a large gallery, kept beside its file: slow to make, then fast at each search.

An inverted file: vectors are grouped around centres, and a search looks only into the groups nearest to the query.
Within those, distances are exact; what is missing is counted by `recall` against an exact search.
Source: Johnson, Douze and Jegou, Billion-scale similarity search with GPUs, 2017, section 5.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import SpecError
from reid.files import atomic_path, sha256_of, write_json
from reid.retrieval.embeddings import FloatArray, IntArray, normalise
from reid.retrieval.gallery import read_ahead
from reid.retrieval.gallery_file import GalleryFile
from reid.retrieval.search import checked_squares, too_few

log = logging.getLogger(__name__)

_WITHOUT_GROUPS = 10_000  # vectors: smaller galleries are searched whole
_LOOKED_INTO = 32  # one group in so many
_TRAINED_ON = 64  # vectors for each centre


def open_index(gallery: GalleryFile) -> Any:
    """The index in `<gallery>.faiss`, made anew when it is not there, is damaged or is of other vectors.

    Raises:
        SpecError: faiss is not installed.
        StorageError: the gallery's folder is not writable.
    """
    faiss = _faiss()
    file = gallery.path.with_name(f"{gallery.path.name}.faiss")
    noted = file.with_name(f"{file.name}.json")
    about = {"gallery_sha256": sha256_of(gallery.path), "rows": len(gallery.rows), "first_row": int(gallery.rows[0])}
    index = _kept(file, noted, about)
    if index is not None:
        return index
    index = _built(gallery)
    with atomic_path(file) as temporary:
        faiss.write_index(index, str(temporary))
    write_json(noted, about)
    return index


def nearest_by_index(index: Any, query: FloatArray, k: int) -> tuple[FloatArray, IntArray]:
    """As `search.nearest` on normalised vectors, but some of the nearest may be missing; positions, not file rows.

    Where the groups that were looked into hold fewer than k vectors, more of them are.

    Raises:
        DataError: the gallery has fewer than k images, or a query vector has no direction or no value.
    """
    checked_squares(query, side="query", l2_normalise=True)
    if index.ntotal < k:
        raise too_few(k, index.ntotal)
    groups = getattr(index, "nlist", 1)
    while True:
        distances, positions = index.search(normalise(query), k)
        if (positions >= 0).all() or getattr(index, "nprobe", groups) >= groups:
            return np.maximum(distances, 0), positions.astype(np.int64)
        index.nprobe = min(groups, 4 * index.nprobe)


def recall(found: IntArray, exact: IntArray) -> float:
    """Part of the exact nearest, int64 [Q, k], that is among those found, int64 [Q, k], whatever their order."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True))
    return hits / exact.size


def _kept(file: Path, noted: Path, about: dict[str, Any]) -> Any:
    """The index that was written before; None where there is none of these vectors, or it was cut short."""
    if not (file.is_file() and noted.is_file()):
        return None
    try:
        if json.loads(noted.read_text(encoding="utf-8")) != about:
            return None
        index = _faiss().read_index(str(file))
    except (ValueError, RuntimeError) as error:  # of JSON and its encoding; of faiss
        log.warning("%s cannot be read and is made anew: %s", file, str(error).splitlines()[0])
        return None
    return index if index.ntotal == about["rows"] else None


def _built(gallery: GalleryFile) -> Any:
    faiss, began = _faiss(), time.perf_counter()
    count = len(gallery.rows)
    if count < _WITHOUT_GROUPS:
        index = faiss.IndexFlatL2(gallery.dim)
    else:
        groups = round(2 * math.sqrt(count))
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(gallery.dim), gallery.dim, groups)
        index.cp.seed = 0
        index.train(_sample(gallery, _TRAINED_ON * groups))
        index.nprobe = max(1, groups // _LOOKED_INTO)
    for block in _directions(gallery):
        index.add(block)
    log.info("indexed %d vectors of %d numbers in %.1f s", count, gallery.dim, time.perf_counter() - began)
    return index


def _sample(gallery: GalleryFile, count: int) -> FloatArray:
    """About so many vectors, evenly spread over the file."""
    step, taken, parts = max(1, len(gallery.rows) // count), 0, []
    for block in _directions(gallery):
        parts.append(block[-taken % step :: step])
        taken += len(block)
    return np.concatenate(parts)


def _directions(gallery: GalleryFile) -> Iterator[FloatArray]:
    """The gallery's vectors at unit length, block by block."""
    for start, block in read_ahead(gallery.blocks()):
        squares = checked_squares(block, first_row=start, l2_normalise=True)
        yield (block / np.sqrt(squares)[:, None]).astype(np.float32, copy=False)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise SpecError(
            "--index faiss, and faiss is not installed",
            "the index is made by that library",
            "pip install faiss-cpu, or search exactly with --index exact",
        ) from error
    return faiss
