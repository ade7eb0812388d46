"""Opens a file of gallery embeddings for search by blocks: one of a million images is never in memory at once.

The reader of whole files, for evaluation, is `files.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from reid.errors import DataError
from reid.retrieval.gallery_file import FIX, GalleryFile, Subset, reading
from reid.retrieval.gallery_npz import NpzGallery
from reid.retrieval.gallery_parquet import ParquetGallery

_Block = TypeVar("_Block")


def open_gallery(path: Path, *, subset: Subset = "gallery") -> GalleryFile:
    """Opens a file of embeddings.

    Args:
        path: `.parquet` or `.npz`.
        subset: the rows that are searched, in a file that tells query from gallery; any other is searched whole, and
            has no "query".

    Raises:
        DataError: the file is missing, damaged, of another kind, or holds no vector of that subset.
    """
    if not path.is_file():
        raise DataError(
            f"there is no gallery file {path}",
            "the images that are searched are the rows of such a file",
            "run inference first, or correct the name given to --gallery",
        )
    if path.suffix.lower() not in (".parquet", ".npz"):
        raise DataError(f"{path} is neither a .parquet nor an .npz file", "only these can be read in blocks", FIX)
    with reading(path):
        opened: GalleryFile = (
            ParquetGallery(path, subset) if path.suffix.lower() == ".parquet" else NpzGallery(path, subset)
        )
    if len(opened.rows) == 0:
        raise DataError(
            f"none of the {opened.total:,} rows of {path} belongs to the subset {subset}",
            "there is nothing to search",
            "search all rows with --subset all, or run inference with inference.test_dataset",
        )
    return opened


def read_ahead(blocks: Iterable[_Block]) -> Iterator[_Block]:
    """The same blocks; a thread reads the next one while the caller works on the last."""
    iterator = iter(blocks)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, iterator, None)
        while (block := following.result()) is not None:
            following = reader.submit(next, iterator, None)
            yield block
