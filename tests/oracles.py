"""Slow, obvious references: every expected value that is not counted by hand comes from here.

Written from the papers' definitions with plain loops in double precision; nothing under `reid` is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Matrix = list[list[float]]


def squared_distances(query: np.ndarray, gallery: np.ndarray, *, l2_normalise: bool) -> Matrix:
    """The full matrix of squared Euclidean distances, [Q][G]."""
    left, right = ([_unit(row) if l2_normalise else list(map(float, row)) for row in side] for side in (query, gallery))
    return [[math.fsum((a - b) ** 2 for a, b in zip(q, g, strict=True)) for g in right] for q in left]


def ranked(
    distances: Sequence[float], pid: int, camid: int, gallery_pids: Sequence[int], gallery_camids: Sequence[int]
) -> list[tuple[int, bool]]:
    """(gallery row, is a match) of every candidate of one query, nearest first.

    The query's own identity under its own camera is left out. Equal distances: wrong before right, then the row.
    """
    candidates = []
    for row, (gallery_pid, gallery_camid) in enumerate(zip(gallery_pids, gallery_camids, strict=True)):
        if gallery_pid == pid and gallery_camid == camid:
            continue
        is_match = bool(gallery_pid == pid and pid != 0)
        candidates.append((distances[row], is_match, row))
    return [(row, is_match) for _, is_match, row in sorted(candidates)]


def average_precision(matches: Sequence[bool]) -> float:
    """Mean of the precision at each hit, over all hits; NaN without one. Zheng et al., ICCV 2015."""
    precisions = [sum(matches[: k + 1]) / (k + 1) for k, hit in enumerate(matches) if hit]
    return sum(precisions) / len(precisions) if precisions else math.nan


def inverse_negative_penalty(matches: Sequence[bool]) -> float:
    """Hits over the rank of the hardest one; NaN without one. Ye et al., TPAMI 2021."""
    ranks = [k + 1 for k, hit in enumerate(matches) if hit]
    return len(ranks) / ranks[-1] if ranks else math.nan


def figures(lists: Sequence[Sequence[bool]], *, max_rank: int) -> dict[str, float | list[float]]:
    """CMC [max_rank], mAP and mINP, each a mean over the queries that have a hit."""
    scored = [matches for matches in lists if any(matches)]
    return {
        "cmc": [sum(any(matches[:k]) for matches in scored) / len(scored) for k in range(1, max_rank + 1)],
        "mAP": sum(average_precision(matches) for matches in scored) / len(scored),
        "mINP": sum(inverse_negative_penalty(matches) for matches in scored) / len(scored),
    }


def k_reciprocal(query: np.ndarray, gallery: np.ndarray, *, k1: int, k2: int, lambda_value: float) -> Matrix:
    """Dense k-reciprocal re-ranking, [Q][G]. Zhong et al., CVPR 2017, sections 3.2 to 3.5.

    Vectors are L2-normalised first. Distances are squared and divided by each point's largest, as in the authors'
    experiments; half of k1 is rounded half to even.
    """
    points = np.concatenate([query, gallery])
    original = [[value / max(row) for value in row] for row in squared_distances(points, points, l2_normalise=True)]
    total = len(points)
    order = [sorted(range(total), key=lambda j, i=i: original[i][j]) for i in range(total)]

    def reciprocal(point: int, k: int) -> set[int]:
        return {j for j in order[point][: k + 1] if point in order[j][: k + 1]}

    weights = np.zeros((total, total))
    for point in range(total):
        members = set(reciprocal(point, k1))
        for candidate in reciprocal(point, k1):
            friends = reciprocal(candidate, round(k1 / 2))
            if len(friends & reciprocal(point, k1)) > 2 / 3 * len(friends):
                members |= friends
        for member in members:
            weights[point, member] = math.exp(-original[point][member])
        weights[point] /= weights[point].sum()
    expanded = np.array([weights[order[point][:k2]].mean(axis=0) for point in range(total)])
    result = []
    for q in range(len(query)):
        row = []
        for g in range(len(query), total):
            shared = np.minimum(expanded[q], expanded[g]).sum() / np.maximum(expanded[q], expanded[g]).sum()
            row.append((1 - lambda_value) * (1 - shared) + lambda_value * original[q][g])
        result.append(row)
    return result


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(float(value) ** 2 for value in vector))
    return [float(value) / length for value in vector]
