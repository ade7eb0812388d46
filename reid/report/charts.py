"""The charts of the evaluation page: CMC, average precision by query, ROC, distances of same and different pairs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from reid.report.svg import Axis, Chart, linear_axis
from reid.report.templating import percent
from reid.report.words import PEOPLE, Words
from reid.retrieval.embeddings import IntArray
from reid.retrieval.metrics import CMC_RANKS, Float64Array
from reid.retrieval.verification import Verification

_MOST_POINTS = 200  # of a curve
_AP_BARS = 20
_SMALLEST_RATE = 1e-6  # where the ROC's axis ends at the latest


def cmc_chart(cmc: Float64Array, intervals: Mapping[str, tuple[float, float]]) -> Markup:
    """Queries with a match up to each rank, in per cent from 0 to 100, so that two pages compare by eye.

    Args:
        cmc: float64 [K], fractions.
        intervals: 95 % low and high of `cmc_rank_<k>`, as fractions; drawn where there is one.
    """
    named = [rank for rank in CMC_RANKS if rank <= len(cmc)]
    ranks = sorted({*named, *np.linspace(1, len(cmc), min(len(cmc), _MOST_POINTS)).astype(int).tolist()})
    chart = Chart(
        Axis("rank", 1, max(len(cmc), 2), _rank_ticks(len(cmc))),
        linear_axis("queries with a match (%)", 0, 100),
        "Cumulative matching characteristic: " + ", ".join(f"rank {k} {percent(cmc[k - 1])}" for k in named),
    )
    points = [(rank, 100 * float(cmc[rank - 1])) for rank in ranks]
    chart.line(points, "same")
    for rank in named:
        if bounds := intervals.get(f"cmc_rank_{rank}"):
            chart.whisker(rank, 100 * bounds[0], 100 * bounds[1])
    chart.tips(points, [f"rank {rank}: {percent(cmc[rank - 1])}" for rank in ranks])
    for rank in named:
        chart.dot((rank, 100 * float(cmc[rank - 1])), "same", f"rank {rank}: {percent(cmc[rank - 1])}")
    return chart.draw()


def _rank_ticks(longest: int) -> list[tuple[float, str]]:
    """Rank 1, the other named ranks while they do not touch each other, and round ranks."""
    crowded = longest > 80
    named = [rank for rank in CMC_RANKS if rank <= longest and (rank == 1 or not crowded)]
    beyond = longest / 10 if crowded else named[-1]
    further = [tick for tick in linear_axis("rank", 1, longest + 1).ticks if beyond < tick[0] <= longest]
    return [*((float(rank), str(rank)) for rank in named), *(further if longest > 10 else [])]


def average_precision_chart(average_precision: Float64Array) -> Markup:
    """How many scored queries have which average precision; `average_precision` is float64 [Q] with NaN unscored."""
    values = average_precision[~np.isnan(average_precision)]
    counts = np.histogram(values, bins=_AP_BARS, range=(0, 1))[0].tolist()
    median = float(np.median(values))
    chart = Chart(
        linear_axis("average precision of a query (%)", 0, 100),
        linear_axis("queries", 0, max(1.05 * max(counts), 5)),
        f"Average precision by query: {len(values)} queries, median {percent(median)}",
    )
    width = 100 / _AP_BARS
    for number, count in enumerate(counts):
        low, high = number * width, (number + 1) * width
        tip = f"AP {low:.0f} to {high:.0f} %: {count:,} queries, {percent(count / len(values))}"
        chart.bar(low, high, count, "same", tip)
    chart.upright(100 * median, f"median {percent(median)}")
    return chart.draw()


def roc_chart(verification: Verification, words: Words = PEOPLE) -> Markup:
    """True against false positive rate; false positives on a logarithmic axis, since only small rates are of use."""
    fpr, tpr = verification.false_positive_rate, verification.true_positive_rate
    # One pair is the smallest rate that can be seen.
    smallest = max(_SMALLEST_RATE, min(1e-2, 10.0 ** np.floor(np.log10(1 / verification.num_different))))
    decades = range(0, round(np.log10(smallest)) - 1, -1 if smallest > 1e-5 else -2)  # their words must not touch
    ticks = [(10.0**n, f"{100 * 10.0**n:g} %") for n in decades]
    chart = Chart(
        Axis(f"different {words.others} accepted", smallest, 1.0, ticks, True),
        linear_axis(f"same {words.one} accepted (%)", 0, 100),
        f"Receiver operating characteristic: equal error rate {percent(verification.equal_error_rate)}; "
        + ", ".join(f"{percent(value)} at {100 * rate:g} %" for rate, value in verification.tpr_at.items()),
    )
    visible = np.flatnonzero(fpr >= smallest)
    start = max(int(visible[0]) - 1, 0)  # the last edge with a smaller rate sets the height at the axis
    points = list(zip(fpr[start:].tolist(), (100 * tpr[start:]).tolist(), strict=True))
    chart.line(points, "same")
    for rate, value in verification.tpr_at.items():
        if rate >= smallest:
            chart.dot((rate, 100 * value), "same", f"{percent(value)} of same pairs at {100 * rate:g} % of different")
    error = verification.equal_error_rate
    chart.dot((max(error, smallest), 100 * (1 - error)), "different", f"equal error rate: {percent(error)}")
    return chart.draw()


def distance_chart(verification: Verification) -> Markup:
    """How far apart the pairs of one person and of different people are, and the suggested threshold between them.

    Heights are parts of the pairs of each kind: there are many more different pairs than same ones.
    """
    bars = np.clip(2 * verification.num_same ** (1 / 3), 20, 100)  # Rice's rule: no more than the pairs can support
    joined = int(np.ceil(len(verification.same_histogram) / bars))
    edges = _widened(verification.histogram_edges, joined)
    shares = {
        "different": _summed(verification.different_histogram, joined) / verification.num_different,
        "same": _summed(verification.same_histogram, joined) / verification.num_same,
    }
    threshold = verification.suggested_threshold
    chart = Chart(
        linear_axis("distance", float(edges[0]), float(edges[-1])),
        linear_axis("pairs of the kind (%)", 0, 108 * max(float(share.max()) for share in shares.values())),
        f"Distances of {verification.num_same} same and {verification.num_different} different pairs; "
        f"suggested threshold {threshold:.4g}",
    )
    for kind, share in shares.items():
        steps = [(float(edges[0]), 0.0)]
        for left, right, height in zip(edges, edges[1:], 100 * share, strict=False):
            steps += [(float(left), float(height)), (float(right), float(height))]
        chart.area([*steps, (float(edges[-1]), 0.0)], kind)
    chart.upright(threshold, f"threshold {threshold:.3f}")
    middles = (edges[1:] + edges[:-1]) / 2
    tips = [
        f"distance {left:.3f} to {right:.3f}: {percent(same)} of same, {percent(different)} of different pairs"
        for left, right, same, different in zip(edges, edges[1:], shares["same"], shares["different"], strict=False)
    ]
    chart.tips([(float(x), 0.0) for x in middles], tips)
    return chart.draw()


def _summed(counts: IntArray, joined: int) -> IntArray:
    """Histogram with so many neighbouring bins made one; the last may reach beyond the data."""
    sums: IntArray = np.add.reduceat(counts, np.arange(0, len(counts), joined))
    return sums


def _widened(edges: Float64Array, joined: int) -> Float64Array:
    """The edges that belong to `_summed`, all equally far apart."""
    bars = -(-(len(edges) - 1) // joined)
    widened: Float64Array = edges[0] + np.arange(bars + 1) * joined * (edges[1] - edges[0])
    return widened
