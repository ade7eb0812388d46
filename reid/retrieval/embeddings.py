"""Embeddings with their labels: what every measurement in this room starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.errors import DataError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Embeddings:
    """One side of a retrieval: query or gallery.

    Attributes:
        vectors: float32 [N, D], as the network gives them (not normalised).
        pids: int64 [N]; 0 is a distractor. Junk (-1) must be gone.
        camids: int64 [N], as the file names give them.
        paths: where each image is; [N] or empty when there are no pictures.

    Raises:
        DataError: lengths differ, no vectors, NaN or infinite values, zero vectors, junk labels.
    """

    vectors: FloatArray
    pids: IntArray
    camids: IntArray
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.vectors)
        if self.vectors.ndim != 2 or count == 0 or self.vectors.shape[1] == 0:
            raise DataError(
                f"embeddings of shape {self.vectors.shape}",
                "a ranking needs at least one vector of at least one number on each side",
                "check that the folder or file holds images of that subset",
            )
        if not (len(self.pids) == len(self.camids) == count) or (self.paths and len(self.paths) != count):
            raise DataError(
                f"{count} vectors, {len(self.pids)} identities, {len(self.camids)} cameras, {len(self.paths)} paths",
                "each vector needs exactly one of each",
                "write the four columns with the same number of rows",
            )
        self._check_values()

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Numbers in one embedding, D."""
        return int(self.vectors.shape[1])

    def _check_values(self) -> None:
        require_comparable(self.vectors, self.label)
        if (self.pids < 0).any():
            raise DataError(
                f"{int((self.pids < 0).sum())} embeddings are labelled as junk (negative identity)",
                "junk images are neither right nor wrong, so they must not be ranked",
                "drop the rows with a negative identity first",
            )

    def label(self, row: int) -> str:
        """How messages call one row."""
        return f"row {row} ({self.paths[row]})" if self.paths else f"row {row}"


def require_comparable(vectors: FloatArray, label: Callable[[int], str]) -> None:
    """Refuses vectors [N, D] that have no distance to others.

    Args:
        label: how messages call a row.

    Raises:
        DataError: a row holds NaN or an infinite number, or nothing but zeros.
    """
    rows = ~np.isfinite(vectors).all(axis=1)
    if rows.any():
        raise DataError(
            f"{int(rows.sum())} of {len(vectors)} embeddings hold NaN or infinite numbers; the first is "
            f"{label(int(rows.argmax()))}",
            "a distance to such a vector has no value",
            "look for a diverged training run (train/metrics.csv) or a half-precision overflow, and embed again",
        )
    rows = ~vectors.any(axis=1)
    if rows.any():
        raise DataError(
            f"{int(rows.sum())} of {len(vectors)} embeddings are all zero; the first is {label(int(rows.argmax()))}",
            "a zero vector has no direction, so it cannot be L2-normalised",
            "look for a dead network or blank images, and embed again",
        )


def normalise(vectors: FloatArray) -> FloatArray:
    """Scales each row of float32 [N, D] to unit Euclidean length, computed in float64 for exactness."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scaled: FloatArray = (vectors / lengths[:, None]).astype(np.float32)
    return scaled


def stack(parts: Sequence[FloatArray]) -> FloatArray:
    """Concatenates batches of embeddings [B, D] to [N, D]."""
    return np.concatenate(list(parts)).astype(np.float32, copy=False)
