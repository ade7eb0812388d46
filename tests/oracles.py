"""Slow, obvious references: every expected value that is not counted by hand comes from here.

Written from the papers' definitions with plain loops in double precision; nothing under `reid` is imported.
"""

from __future__ import annotations

import itertools
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


def market_1501_average_precision(matches: Sequence[bool]) -> float:
    """compute_AP.m of the first Market-1501 program, line by line, junk already gone; NaN without a hit."""
    if not any(matches):
        return math.nan
    old_recall, old_precision, area, found = 0.0, 1.0, 0.0, 0
    for seen, hit in enumerate(matches):
        found += hit
        recall = found / sum(matches)
        precision = found / (seen + 1)
        area += (recall - old_recall) * ((old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
        if found == sum(matches):
            break
    return area


def camera_cell(
    distances: Matrix,
    query_labels: Sequence[tuple[int, int]],
    gallery_labels: Sequence[tuple[int, int]],
    cameras: tuple[int, int],
) -> tuple[float, float, int]:
    """mAP, rank-1 and number of scored queries of one camera, ranked against the gallery images of another alone.

    Labels are (pid, camid).
    """
    rows = [g for g, (_, camid) in enumerate(gallery_labels) if camid == cameras[1]]
    values, firsts = [], []
    for q, (pid, camid) in enumerate(query_labels):
        if camid != cameras[0]:
            continue
        labels = [gallery_labels[g] for g in rows]
        order = ranked([distances[q][g] for g in rows], pid, camid, [p for p, _ in labels], [c for _, c in labels])
        matches = [hit for _, hit in order]
        if any(matches):
            values.append(average_precision(matches))
            firsts.append(matches[0])
    if not values:
        return math.nan, math.nan, 0
    return sum(values) / len(values), sum(firsts) / len(firsts), len(values)


def accepted(distances: Sequence[float], threshold: float) -> float:
    """Part of the pairs that stand below a threshold."""
    return sum(distance < threshold for distance in distances) / len(distances)


def true_positive_rate_at(
    same: Sequence[float], different: Sequence[float], rate: float, thresholds: Sequence[float]
) -> float:
    """The largest true positive rate at any threshold whose false positive rate is at most `rate`."""
    return max(accepted(same, t) for t in thresholds if accepted(different, t) <= rate)


def equal_error_rate(same: Sequence[float], different: Sequence[float], thresholds: Sequence[float]) -> float:
    """Where misses fall below false accepts, on the line between the two thresholds around that place."""
    points = [(accepted(different, t), 1 - accepted(same, t)) for t in sorted(thresholds)]
    for (false, miss), (next_false, next_miss) in itertools.pairwise(points):
        if next_false >= next_miss:
            # false + s * (next_false - false) = miss + s * (next_miss - miss)
            step = (miss - false) / ((next_false - false) - (next_miss - miss))
            return false + step * (next_false - false)
    raise AssertionError("the thresholds do not reach from nobody to everybody")


def bootstrap_interval(values: Sequence[float], pids: Sequence[int]) -> tuple[float, float]:
    """2.5 and 97.5 % percentiles of the mean over every possible draw of as many identities as there are."""
    people = sorted(set(pids))
    means = []
    for draw in itertools.product(people, repeat=len(people)):
        drawn = [value for person in draw for value, pid in zip(values, pids, strict=True) if pid == person]
        means.append(sum(drawn) / len(drawn))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def expanded(
    points: np.ndarray, neighbours: np.ndarray, *, k: int, alpha: float | None, others: bool = False
) -> list[list[float]]:
    """Each point, of unit length, plus its k nearest neighbours by cosine, weighted, scaled to unit length."""
    left, right = [_unit(row) for row in points], [_unit(row) for row in neighbours]
    result = []
    for p, point in enumerate(left):
        cosines = [math.fsum(a * b for a, b in zip(point, row, strict=True)) for row in right]
        order = sorted((row for row in range(len(right)) if not (others and row == p)), key=lambda row: -cosines[row])
        mean = list(point)
        for row in order[:k]:
            weight = 1.0 if alpha is None else max(cosines[row], 0.0) ** alpha
            mean = [a + weight * b for a, b in zip(mean, right[row], strict=True)]
        result.append(_unit(mean))
    return result
