"""Embeddings with their labels: what every measurement in this room starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from reid.errors import DataError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

RAW_SQUARES = (1e-30, 1e37)
"""Squared lengths of raw vectors whose sums and differences stay within the normal numbers of float32."""

_NO_DIRECTION = "a zero vector has no direction, so it cannot be L2-normalised"
_DEAD = "look for a dead network or blank images, and embed again"


@dataclass(frozen=True)
class Embeddings:
    """One side of a retrieval: query or gallery.

    Attributes:
        vectors: float32 [N, D], as the network gives them (not normalised).
        pids: int64 [N]; 0 is a distractor. Junk (-1) must be gone.
        camids: int64 [N], as the file names give them.
        paths: where each image is; [N] or empty when there are no pictures.

    Raises:
        DataError: lengths differ, no vectors, NaN or infinite values, junk labels.
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
    """Refuses vectors [N, D] that have no distance to others, normalised or not.

    Args:
        label: how messages call a row.

    Raises:
        DataError: a row holds NaN or an infinite number.
    """
    _refuse(
        np.asarray(~np.isfinite(vectors).all(axis=1)),
        "hold NaN or infinite numbers",
        label,
        "a distance to such a vector has no value",
        "look for a diverged training run (train/metrics.csv) or a half-precision overflow, and embed again",
    )


def require_distances(query: Embeddings, gallery: Embeddings, *, l2_normalise: bool) -> None:
    """Refuses vectors whose distances float32 does not hold.

    Raises:
        DataError: with `l2_normalise` a row is all zero; without, the squared length of a row is beyond `RAW_SQUARES`,
            or all rows of both sides are zero.
    """
    lengths = [_squared_lengths(side.vectors) for side in (query, gallery)]
    if not l2_normalise and not any(side.any() for side in lengths):
        raise DataError(
            f"all {len(query)} query and {len(gallery)} gallery embeddings are zero",
            "all distances are then zero, and nothing can be ranked",
            _DEAD,
        )
    low, high = RAW_SQUARES
    for name, side, squares in zip(("query", "gallery"), (query, gallery), lengths, strict=True):
        label = partial(_label, name, side)
        if l2_normalise:
            _refuse(squares == 0, "are all zero", label, _NO_DIRECTION, _DEAD)
        else:
            _refuse(
                (squares > high) | ((squares < low) & (squares > 0)),
                f"have a squared length outside {low:g} to {high:g}",
                label,
                "raw distances (evaluate.l2_normalise=false) are computed in float32, which does not hold such squares",
                "rescale: multiply the vectors of both sides by one number, or set evaluate.l2_normalise=true",
            )


def normalise(vectors: FloatArray) -> FloatArray:
    """Scales each row of float32 [N, D] to unit Euclidean length, computed in float64 for exactness.

    Raises:
        DataError: a row is all zero.
    """
    lengths = np.sqrt(_squared_lengths(vectors))
    _refuse(lengths == 0, "are all zero", "row {}".format, _NO_DIRECTION, _DEAD)
    scaled: FloatArray = (vectors / lengths[:, None]).astype(np.float32)
    return scaled


def _label(name: str, side: Embeddings, row: int) -> str:
    return f"{name} {side.label(row)}"


def _squared_lengths(vectors: FloatArray) -> npt.NDArray[np.float64]:
    squares: npt.NDArray[np.float64] = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return squares


def _refuse(rows: BoolArray, what: str, label: Callable[[int], str], why: str, fix: str) -> None:
    """Raises DataError where `rows` [N] has a True, with their number and the first of them."""
    if rows.any():
        raise DataError(
            f"{int(rows.sum())} of {len(rows)} embeddings {what}; the first is {label(int(rows.argmax()))}", why, fix
        )
