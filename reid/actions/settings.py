"""Sections of the spec as the plain settings that the rooms below take."""

from __future__ import annotations

from reid.spec.re_identification import ReIdentificationSpec
from reid.tracking import Tracking


def tracking_of(spec: ReIdentificationSpec) -> Tracking:
    """The `mlflow` section."""
    return Tracking(
        enable=spec.mlflow.enable,
        uri=spec.mlflow.tracking_uri,
        experiment=spec.mlflow.experiment,
        model_name=spec.mlflow.model_name,
        parent_run=spec.mlflow.parent_run,
        pipeline=spec.mlflow.pipeline,
    )
