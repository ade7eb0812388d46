"""Which queries a page shows when not all of them fit: the worst, and a sample of all the others."""

from __future__ import annotations

import numpy as np

from reid.retrieval.embeddings import IntArray
from reid.retrieval.metrics import Float64Array

SAMPLED_EVERY = 4
"""Of so many queries one is from the sample, the others are the worst that remain."""


def by_interest(average_precision: Float64Array) -> IntArray:
    """All queries, int64 [Q], so that any beginning of the list is a fair picture.

    Three of four places go to the worst queries in turn. Each fourth goes to the next of a sample that is spread evenly
    over all queries at any length: the best, the median, the quartiles, the eighths and so on (van der Corput's
    sequence). So the worst fill what room there is, and the page still shows what good looks like.

    Args:
        average_precision: float64 [Q]; queries without a value (NaN) come after all others.
    """
    worst = worst_first(average_precision)
    scored = worst[: int(np.count_nonzero(~np.isnan(average_precision)))]
    best_first = scored[::-1]
    spread = best_first[_evenly_spread(len(scored))]
    chosen: list[int] = []
    taken = np.zeros(len(worst), np.bool_)
    queues = {False: iter(scored.tolist()), True: iter(spread.tolist())}
    while len(chosen) < len(scored):
        query = next(q for q in queues[len(chosen) % SAMPLED_EVERY == SAMPLED_EVERY - 1] if not taken[q])
        taken[query] = True
        chosen.append(query)
    return np.concatenate([np.array(chosen, np.int64), worst[len(scored) :]])


def worst_first(average_precision: Float64Array) -> IntArray:
    """Queries, int64 [Q], by rising average precision; equal ones by row, those without a value last."""
    return np.argsort(average_precision, kind="stable")  # numpy puts NaN last


def _evenly_spread(count: int) -> IntArray:
    """A permutation of 0..count - 1, every beginning of which is spread evenly: numbers by their mirrored bits."""
    bits = max(1, (count - 1).bit_length())
    numbers = np.arange(2**bits)
    mirrored = np.zeros_like(numbers)
    for bit in range(bits):
        mirrored |= ((numbers >> bit) & 1) << (bits - 1 - bit)
    return mirrored[mirrored < count]
