"""Work on one block of distances, wherever it lies. Ranks come from counting: no gallery is ever sorted.

A match stands at rank 1 + (wrong images at most as far) + (matches before it). So each wrong image is looked up among
the query's few matches and counted there, and all ranks are sums over those counts. On a CPU the pass over the block is
compiled (`compiled.py`), on other devices it is made of tensor operations (`tensors.py`). Both give the same integers.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from reid.errors import DataError
from reid.retrieval.embeddings import BoolArray, FloatArray, IntArray

Block = Any
"""float32 [b, G]: a numpy array in the memory of the host, or a torch tensor on another device."""

_LARGEST_BLOCK = 64 * 2**20  # bytes of distances: more gains nothing once the products run at full speed

Lists = tuple[IntArray, IntArray]
"""A list for each of b queries: offsets int64 [b + 1] and their concatenation."""


@dataclass(frozen=True)
class BlockLabels:
    """What is known of the images of a block of b queries before distances are.

    Attributes:
        matches: gallery rows of each query's right answers.
        excluded: gallery rows that are left out of each query's ranking.
        counted: bool [b], queries whose wrong pairs join the histogram.
        camera_of_row: int64 [G], in 0..num_cameras - 1.
        num_cameras: cameras of the gallery.
    """

    matches: Lists
    excluded: Lists
    counted: BoolArray
    camera_of_row: IntArray
    num_cameras: int


@dataclass(frozen=True)
class BlockRanks:
    """The ranks in a block of b queries with M matches in all; the attributes are those of `Ranking`."""

    ranks: IntArray
    rows: IntArray
    distances: FloatArray
    camera_ranks: IntArray
    top_indices: IntArray
    top_distances: FloatArray
    top_matches: BoolArray


def rank_block(
    block: Block, labels: BlockLabels, *, top_k: int, histogram: IntArray, bins_per_unit: float
) -> BlockRanks:
    """Ranks of all matches of a block of queries, and their nearest gallery images.

    Args:
        block: float32 [b, G], distances; written into.
        labels: of the block.
        top_k: nearest images kept, at most G.
        histogram: int64 [bins], pairs of different people by distance; added to.
        bins_per_unit: bins over the largest distance; the last bin takes what is beyond it.
    """
    passes = importlib.import_module(f"reid.retrieval.{'compiled' if isinstance(block, np.ndarray) else 'tensors'}")
    ranks: BlockRanks = passes.rank_rows(block, labels, top_k=top_k, histogram=histogram, bins_per_unit=bins_per_unit)
    return ranks


def block_rows(queries: int, gallery: int, memory_bytes: int, *, bytes_per_pair: int) -> int:
    """How many queries are ranked at once.

    Args:
        queries: Q.
        gallery: G.
        memory_bytes: what may be used.
        bytes_per_pair: what the work on a block needs for each pair of images.

    Raises:
        DataError: not even one fits.
    """
    fitting = memory_bytes // (bytes_per_pair * gallery)
    if fitting < 1:
        needed = bytes_per_pair * gallery / 1e9
        raise DataError(
            f"a working memory of {memory_bytes / 1e9:.3g} GB for a gallery of {gallery:,} images",
            f"one query's distances to all of them need {needed:.2g} GB",
            f"set evaluate.memory_gb={max(0.1, round(needed * 8, 1)):g} or more",
        )
    return min(queries, fitting, max(16, _LARGEST_BLOCK // (4 * gallery)))
