"""`promote`: the challenger becomes champion, when it is better on the same test set."""

from __future__ import annotations

from dataclasses import asdict

from reid.actions.base import action_run, tracking_of
from reid.actions.result import ActionResult
from reid.errors import SpecError
from reid.files import write_json
from reid.spec.experiment import ExperimentSpec
from reid.tracking import promote_challenger


def promote(spec: ExperimentSpec) -> ActionResult:
    """Moves the alias `champion` of `mlflow.model_name` to its challenger; writes `promotion.json`.

    Raises:
        SpecError: mlflow.enable is false.
        PromotionRefused: the challenger is not better, or cannot be compared; the alias stays.
        TrackingError: the store cannot be reached.
    """
    if not spec.mlflow.enable:
        raise SpecError(
            "mlflow.enable is false",
            "champion and challenger are versions in MLflow",
            "add mlflow.enable=true, and mlflow.tracking_uri=... for a server",
        )
    with action_run("promote", spec) as run:
        run.begin(spec)
        promotion = promote_challenger(tracking_of(spec), metric=spec.promote.metric, min_gain=spec.promote.min_gain)
        target = run.folder / "promotion.json"
        write_json(target, asdict(promotion))
        run.tracker.log_artifact(target)
    before = "none" if promotion.previous is None else promotion.previous
    figures: dict[str, float | int | str] = {"model": promotion.name, "champion": promotion.version, "before": before}
    figures[promotion.metric] = promotion.value
    if promotion.previous_value is not None:
        figures[f"{promotion.metric}_before"] = promotion.previous_value
    return ActionResult("promote", run.folder, figures, {"promotion": target}, run.tracker.id)
