"""How figures were measured: what stands in metrics.json, on MLflow runs and under every picture.

Figures compare under equal protocols only, and `promote` refuses others. What moves no figure, such as memory, is not
part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reid.retrieval.pairs import Exclude
from reid.retrieval.ranking import Ranking
from reid.spec.experiment import ExperimentSpec

VECTOR = ("neck_feat", "with_flip_feature")
"""Which vector of the network is the embedding, by the names of the `model` section's keys."""

_LEFT_OUT: dict[Exclude, str] = {
    "same_camera": "a query's identity under its own camera is left out",
    "same_image": "the query's own image is left out",
    "none": "nothing is left out",
}
_PRECISION = {"sum": "AP in the sum form", "trapezoid": "AP by trapezoids"}


def protocol_of(spec: ExperimentSpec, ranking: Ranking, network: Mapping[str, Any]) -> dict[str, Any]:
    """What moves the figures.

    Args:
        spec: by which the ranking was made.
        ranking: names its distance and what it leaves out.
        network: which vector of the network is the embedding, as far as it is known.
    """
    chosen = spec.evaluate
    return {
        "distance": ranking.distance,
        "exclude": ranking.exclude,
        "average_precision": chosen.average_precision,
        "re_ranking": spec.re_ranking.re_ranking,
        "query_expansion": _expansion(spec),
        "augmentation_k": chosen.augmentation_k,
        **network,
    }


def protocol_line(protocol: Mapping[str, Any], *, num_scored: int, num_gallery: int, images: str) -> str:
    """The small print of a picture."""
    return f"{num_scored:,} queries, {num_gallery:,} {images}; {protocol_words(protocol)}"


def protocol_words(protocol: Mapping[str, Any]) -> str:
    """What moves the figures, in words.

    Raises:
        KeyError: the protocol, as `protocol_of` makes it, says nothing of one of these.
    """
    parts = [
        _LEFT_OUT[protocol["exclude"]],
        f"distance: {protocol['distance']}",
        _PRECISION[protocol["average_precision"]],
        "re-ranked" if protocol["re_ranking"] else "not re-ranked",
    ]
    if protocol["query_expansion"] != "none":
        parts.append(f"query expansion: {protocol['query_expansion']}")
    if protocol["augmentation_k"]:
        parts.append(f"gallery averaged with {protocol['augmentation_k']} neighbours")
    return "; ".join(parts)


def _expansion(spec: ExperimentSpec) -> str:
    chosen = spec.evaluate
    if chosen.query_expansion == "none":
        return "none"
    alpha = f", alpha={chosen.expansion_alpha:g}" if chosen.query_expansion == "alpha_qe" else ""
    return f"{chosen.query_expansion}(k={chosen.expansion_k}{alpha})"
