"""Is this the same person: error rates of a distance threshold, and the probability behind a distance.

Pairs are those that a ranking sees: a query with each of its matches (same person), and with each wrong gallery image
(different people). What the exclusion rule leaves out is in neither. The ranking counts distances in fine equal bins,
so every rate is exact at the bins' edges, and nothing between edges is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.retrieval.calibration import calibrated_curve
from reid.retrieval.embeddings import IntArray
from reid.retrieval.error_rates import curve_points, equal_error_rate, largest_edge
from reid.retrieval.metrics import Float64Array
from reid.retrieval.ranking import Ranking

FALSE_POSITIVE_RATES = (1e-2, 1e-3, 1e-4)

_SUGGESTED_RATES = (1e-3, 1e-2)  # the first that the pairs can support
_SUPPORTING_ERRORS = 30  # so many errors give a rate within +-30 % at 90 % confidence: Doddington's rule of 30
_HISTOGRAM_BARS = 100


@dataclass(frozen=True)
class Verification:
    """Error rates of "same person when distance < threshold".

    Attributes:
        distance: name of the distance; thresholds and probabilities hold for no other.
        num_same: pairs of one person.
        num_different: pairs of different people.
        thresholds: float64 [T], ascending from one that accepts nobody to one that accepts every pair; chosen edges of
            the ranking's bins, closest where a rate is small.
        true_positive_rate: float64 [T], accepted part of the same pairs.
        false_positive_rate: float64 [T], accepted part of the different pairs.
        equal_error_rate: where the rates of both errors meet, on the line between two neighbouring edges.
        tpr_at: true positive rate at the largest edge whose false positive rate is at most 1e-2, 1e-3 and 1e-4. With
            fewer different pairs than one over that rate, it is the rate with no false positive at all.
        suggested_threshold: an edge, by `suggested_rule`.
        suggested_tpr: true positive rate there.
        suggested_fpr: false positive rate there.
        suggested_rule: "fpr_0.001", "fpr_0.01" or "equal_error_rate".
        histogram_edges: float64 [H + 1], for drawing.
        same_histogram: int64 [H], same pairs by distance.
        different_histogram: int64 [H], different pairs by distance.
    """

    distance: str
    num_same: int
    num_different: int
    thresholds: Float64Array
    true_positive_rate: Float64Array
    false_positive_rate: Float64Array
    equal_error_rate: float
    tpr_at: dict[float, float]
    suggested_threshold: float
    suggested_tpr: float
    suggested_fpr: float
    suggested_rule: str
    histogram_edges: Float64Array
    same_histogram: IntArray
    different_histogram: IntArray

    def probability(self, distances: npt.ArrayLike, *, prior: float = 0.5) -> Float64Array:
        """Calibrated probability that pairs at these distances show one person.

        Args:
            distances: of any shape, by the distance named above.
            prior: how often a pair shows one person before its distance is seen. One half weighs the two histograms
                equally; a search of a gallery has far fewer right images than wrong ones, so its prior is smaller.

        Returns:
            float64 of that shape, inside (0, 1), never rising with the distance.

        Raises:
            DataError: the prior is not inside (0, 1).
        """
        if not 0 < prior < 1:
            raise DataError(
                f"a prior probability of {prior:g}",
                "with a prior of 0 or 1 no distance could change the answer",
                "give a prior between 0 and 1, such as 0.5",
            )
        even = np.interp(np.asarray(distances, np.float64), *self._calibrated)
        same, different = even * prior, (1 - even) * (1 - prior)
        posterior: Float64Array = same / (same + different)
        return posterior

    @cached_property
    def _calibrated(self) -> tuple[Float64Array, Float64Array]:
        return calibrated_curve(
            self.thresholds,
            self.true_positive_rate,
            self.false_positive_rate,
            num_same=self.num_same,
            num_different=self.num_different,
        )

    def summary(self) -> dict[str, Any]:
        """The headline figures, plain JSON, for `metrics.json`."""
        return {
            "same_pairs": self.num_same,
            "different_pairs": self.num_different,
            "equal_error_rate": self.equal_error_rate,
            **{f"tpr_at_fpr_{rate:g}": value for rate, value in self.tpr_at.items()},
            "suggested_threshold": self.suggested_threshold,
            "suggested_rule": self.suggested_rule,
            "suggested_tpr": self.suggested_tpr,
            "suggested_fpr": self.suggested_fpr,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON of everything, for `verification.json`."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["tpr_at"] = {f"{rate:g}": value for rate, value in self.tpr_at.items()}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verification:
        """What `to_dict` wrote.

        Raises:
            DataError: a key is missing or holds something else.
        """
        try:
            return cls(
                distance=str(values["distance"]),
                num_same=int(values["num_same"]),
                num_different=int(values["num_different"]),
                thresholds=np.asarray(values["thresholds"], np.float64),
                true_positive_rate=np.asarray(values["true_positive_rate"], np.float64),
                false_positive_rate=np.asarray(values["false_positive_rate"], np.float64),
                equal_error_rate=float(values["equal_error_rate"]),
                tpr_at={float(rate): float(value) for rate, value in values["tpr_at"].items()},
                suggested_threshold=float(values["suggested_threshold"]),
                suggested_tpr=float(values["suggested_tpr"]),
                suggested_fpr=float(values["suggested_fpr"]),
                suggested_rule=str(values["suggested_rule"]),
                histogram_edges=np.asarray(values["histogram_edges"], np.float64),
                same_histogram=np.asarray(values["same_histogram"], np.int64),
                different_histogram=np.asarray(values["different_histogram"], np.int64),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"verification figures that cannot be read ({type(error).__name__}: {error})",
                f"they need {', '.join(field.name for field in fields(cls))}",
                "give the verification.json that `evaluate` wrote, or evaluate again",
            ) from error


def verify(ranking: Ranking) -> Verification | None:
    """The verification figures of a ranking; None where there is no same or no different pair."""
    different = ranking.different
    bins = len(different)
    per_unit = np.float32(bins / ranking.largest_distance)  # as the ranking counted the different pairs
    same = np.bincount(np.minimum((ranking.match_distances * per_unit).astype(np.int64), bins - 1), minlength=bins)
    num_same, num_different = int(same.sum()), int(different.sum())
    if num_same == 0 or num_different == 0:
        return None
    edges = np.linspace(0.0, ranking.largest_distance, bins + 1)
    tpr, fpr = (np.append(0.0, np.cumsum(counts) / counts.sum()) for counts in (same, different))
    suggested, rule = _suggested(tpr, fpr, num_different)
    kept = curve_points(tpr, fpr)
    histogram = _histogram(edges, same, different)
    return Verification(
        distance=ranking.distance,
        num_same=num_same,
        num_different=num_different,
        thresholds=edges[kept],
        true_positive_rate=tpr[kept],
        false_positive_rate=fpr[kept],
        equal_error_rate=equal_error_rate(tpr, fpr),
        tpr_at={rate: float(tpr[largest_edge(fpr, rate)]) for rate in FALSE_POSITIVE_RATES},
        suggested_threshold=float(edges[suggested]),
        suggested_tpr=float(tpr[suggested]),
        suggested_fpr=float(fpr[suggested]),
        suggested_rule=rule,
        histogram_edges=histogram[0],
        same_histogram=histogram[1],
        different_histogram=histogram[2],
    )


def _suggested(tpr: Float64Array, fpr: Float64Array, num_different: int) -> tuple[int, str]:
    """The edge to suggest, and by which rule.

    At most one stranger in 1,000 is accepted, where the different pairs are enough to measure that; else one in 100;
    else both errors are balanced.
    """
    for rate in _SUGGESTED_RATES:
        if num_different * rate >= _SUPPORTING_ERRORS:
            return largest_edge(fpr, rate), f"fpr_{rate:g}"
    return int(np.argmin(np.abs(fpr - (1 - tpr)))), "equal_error_rate"


def _histogram(edges: Float64Array, same: IntArray, different: IntArray) -> tuple[Float64Array, IntArray, IntArray]:
    """Edges [H + 1] and the two histograms [H] over the occupied bins, in at most 100 bars of equal width."""
    occupied = np.flatnonzero(same + different)
    first, stop = int(occupied[0]), int(occupied[-1]) + 1
    width = -(-(stop - first) // _HISTOGRAM_BARS)
    starts = np.arange(first, stop, width)
    ends = np.append(starts, starts[-1] + width)
    bars = [np.add.reduceat(counts[first:stop], starts - first) for counts in (same, different)]
    return ends * (edges[1] - edges[0]), *bars
