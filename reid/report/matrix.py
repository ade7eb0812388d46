"""The matrices of camera pairs as rows of cells for a table, shaded by value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid.retrieval.cameras import CameraPairs
from reid.retrieval.metrics import Float64Array

MOST_CAMERAS = 40
"""On each side of the table; the busiest are kept."""


@dataclass(frozen=True)
class Cell:
    """One pair of cameras.

    Attributes:
        value: a fraction; None where no query can be scored.
        queries: so many queries are behind it.
        shade: 0 for the lowest value of the matrix to 100 for the highest.
    """

    value: float | None
    queries: int
    shade: int


@dataclass(frozen=True)
class CameraMatrix:
    """One figure by camera pair.

    Attributes:
        name: of the figure.
        columns: gallery cameras.
        rows: each query camera with its cells.
        left_out: cameras of either side that did not fit.
    """

    name: str
    columns: list[int]
    rows: list[tuple[int, list[Cell]]]
    left_out: int


def camera_matrices(pairs: CameraPairs) -> list[CameraMatrix]:
    """mAP and rank-1; with many cameras those with the most scored queries."""
    rows = _busiest(pairs.num_queries.sum(axis=1))
    columns = _busiest(pairs.num_queries.sum(axis=0))
    counts = pairs.num_queries[np.ix_(rows, columns)]
    left_out = sum(pairs.num_queries.shape) - len(rows) - len(columns)
    return [
        CameraMatrix(
            name,
            pairs.gallery_cameras[columns].tolist(),
            [
                (camera, [Cell(*cell) for cell in zip(values, queries, shades, strict=True)])
                for camera, values, queries, shades in zip(
                    pairs.query_cameras[rows].tolist(),
                    [[None if np.isnan(value) else value for value in row] for row in part.tolist()],
                    counts.tolist(),
                    _shades(part),
                    strict=True,
                )
            ],
            left_out,
        )
        for name, part in (
            ("mAP", pairs.mean_ap[np.ix_(rows, columns)]),
            ("rank-1", pairs.rank_1[np.ix_(rows, columns)]),
        )
    ]


def _busiest(queries: np.ndarray) -> np.ndarray:
    """Positions of the cameras with the most queries, ascending."""
    return np.sort(np.argsort(-queries, kind="stable")[:MOST_CAMERAS])


def _shades(values: Float64Array) -> list[list[int]]:
    known = values[~np.isnan(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    shares = np.nan_to_num((values - low) / max(high - low, 1e-9))
    shades: list[list[int]] = (100 * shares).round().astype(int).tolist()
    return shades
