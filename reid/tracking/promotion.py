"""Which version of the model is the champion: the challenger, once it is better on the same test set."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reid.errors import PromotionRefused
from reid.tracking.registration import CHALLENGER, METRIC, PROTOCOL, TEST_SET
from reid.tracking.settings import Tracking, without_passwords
from reid.tracking.store import connect, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CHAMPION = "champion"
"""Alias of the version that is in use."""


@dataclass(frozen=True)
class Promotion:
    """A champion: which version, instead of which, and the figures that decided it (None for the first champion)."""

    name: str
    version: int
    previous: int | None
    metric: str
    value: float
    previous_value: float | None


def promote_challenger(tracking: Tracking, *, metric: str = "mAP", min_gain: float = 0.0) -> Promotion:
    """Gives the alias `champion` to the challenger, when it is better on the same test set under the same protocol.

    Without a champion, an evaluated challenger becomes the first one.

    Args:
        tracking: the store; `enable` is not looked at.
        metric: name in `metrics.json`; larger is better.
        min_gain: the challenger must be better by more than this, in the metric's unit (a fraction).

    Raises:
        PromotionRefused: no challenger, it is the champion already, it is not better, or the figures cannot be
            compared. The alias stays where it was.
        TrackingError: the store fails.
    """
    client = connect(tracking)
    name = tracking.model_name
    with tracking_errors(f"reading the versions of {name!r}", tracking.resolved_uri):
        challenger, champion = _version_at(client, name, CHALLENGER), _version_at(client, name, CHAMPION)
    if challenger is None:
        raise PromotionRefused(
            f"the model {name!r} has no version with the alias {CHALLENGER!r} at "
            f"{without_passwords(tracking.resolved_uri)}",
            "",
            "run the register action first, or correct mlflow.model_name or mlflow.tracking_uri",
        )
    if champion is not None and champion.version == challenger.version:
        raise PromotionRefused(
            f"version {challenger.version} of {name!r} is the champion already",
            "there is no newer version to compare it with",
            "register another export first",
        )
    value = _metric_of(challenger, CHALLENGER, metric)
    previous_value = None
    if champion is not None:
        _require_comparable(challenger, champion)
        previous_value = _metric_of(champion, CHAMPION, metric)
        gain = value - previous_value
        if not gain > min_gain:
            raise PromotionRefused(
                f"{metric} is {value:.4f} for the challenger (version {challenger.version}) and "
                f"{previous_value:.4f} for the champion (version {champion.version}): a gain of {gain:+.4f}",
                f"it must be more than promote.min_gain={min_gain:g}",
                "train a better model, compare by another promote.metric, or lower promote.min_gain",
            )
    with tracking_errors(f"promoting version {challenger.version} of {name!r}", tracking.resolved_uri):
        client.set_registered_model_alias(name, CHAMPION, challenger.version)
    before = f"instead of version {champion.version} ({previous_value:.4f})" if champion else "as the first champion"
    log.info("promoted %s version %s (%s %.4f) %s", name, challenger.version, metric, value, before)
    previous = int(champion.version) if champion else None
    return Promotion(name, int(challenger.version), previous, metric, value, previous_value)


def _version_at(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version with that alias; None when the model or the alias does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _metric_of(version: ModelVersion, alias: str, metric: str) -> float:
    known = {tag.removeprefix(METRIC): value for tag, value in version.tags.items() if tag.startswith(METRIC)}
    if metric not in known:
        raise PromotionRefused(
            f"the {alias} (version {version.version}) has no figure {metric!r}; it has {sorted(known) or 'none'}",
            "versions are compared by the figures of their evaluation",
            "run evaluate before register, or choose promote.metric among these",
        )
    value = float(known[metric])
    if not math.isfinite(value):
        raise PromotionRefused(
            f"{metric} of the {alias} (version {version.version}) is {value}",
            "such a figure is neither better nor worse than another",
            "evaluate and register that checkpoint again",
        )
    return value


def _require_comparable(challenger: ModelVersion, champion: ModelVersion) -> None:
    sets = [version.tags.get(TEST_SET, "") for version in (challenger, champion)]
    if not all(sets) or sets[0] != sets[1]:
        shown = " and ".join(text[:12] or "unknown" for text in sets)
        raise PromotionRefused(
            f"challenger (version {challenger.version}) and champion (version {champion.version}) were evaluated on "
            f"different test sets: {shown}",
            "figures of different images cannot be compared",
            "evaluate the champion's checkpoint on the challenger's test set, register it, promote it, then try again",
        )
    ours, theirs = (json.loads(version.tags.get(PROTOCOL, "{}")) for version in (challenger, champion))
    different = [
        f"{key}: {ours.get(key)} and {theirs.get(key)}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
    if different:
        raise PromotionRefused(
            f"challenger (version {challenger.version}) and champion (version {champion.version}) were evaluated "
            f"differently ({'; '.join(different)})",
            "such figures cannot be compared",
            "evaluate and register the challenger again with the champion's settings",
        )
