"""Versions of the exported model in MLflow's registry, and which of them is the champion."""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid.errors import PromotionRefused
from reid.tracking.settings import Tracking, without_passwords
from reid.tracking.store import connect, experiment_id, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CHALLENGER = "challenger"
CHAMPION = "champion"
TEST_SET = "test_set"
PROTOCOL = "protocol"
METRIC = "metric."
_LOADER = "reid_embedder"


@dataclass(frozen=True)
class ServedModel:
    """What makes a version that `mlflow.pyfunc.load_model` can load.

    Attributes:
        files: what the loader needs, by the name it has in the loader's folder.
        loader: Python file with `_load_pyfunc(folder)`; it travels with the version and must not import this package.
        requirements: packages the loader imports, pinned.
        embedding_size: values of one embedding.
    """

    files: Mapping[str, Path]
    loader: Path
    requirements: Sequence[str]
    embedding_size: int


@dataclass(frozen=True)
class Registration:
    """A version in the registry: `models:/<name>@challenger`, for as long as no later one takes the alias."""

    name: str
    version: int
    model_id: str
    run_id: str
    uri: str
    tracking_uri: str


@dataclass(frozen=True)
class Promotion:
    """A champion: which version, instead of which, and the figures that decided it (None for the first champion)."""

    name: str
    version: int
    previous: int | None
    metric: str
    value: float
    previous_value: float | None


def register_model(
    tracking: Tracking,
    model: ServedModel,
    *,
    run_id: str,
    metrics: Mapping[str, float],
    test_set: str,
    protocol: Mapping[str, Any],
    tags: Mapping[str, str],
) -> Registration:
    """Makes a version of `tracking.model_name` and gives it the alias `challenger`.

    Args:
        tracking: the store; `enable` is not looked at.
        model: what to serve.
        run_id: the run that the version belongs to.
        metrics: of its evaluation; what `promote_challenger` compares.
        test_set: fingerprint of the images they were measured on; "" when unknown.
        protocol: how they were measured (re-ranking, exclusion rule ...); figures compare under equal protocols only.
        tags: further facts, such as the checkpoint's SHA-256.

    Raises:
        TrackingError: the store fails. A version without the alias may be left, never an alias without a version.
    """
    client = connect(tracking)
    experiment = experiment_id(tracking, client)
    facts = {
        **tags,
        **{f"{METRIC}{name}": repr(float(value)) for name, value in metrics.items()},
        TEST_SET: test_set,
        PROTOCOL: json.dumps(protocol, sort_keys=True),
    }
    with tracking_errors(f"registering {tracking.model_name!r}", tracking.resolved_uri):
        logged = _upload(client, tracking, model, experiment, run_id, facts)
        _ensure_registered(client, tracking.model_name)
        made = client.create_model_version(
            tracking.model_name, logged.artifact_location, run_id=run_id, tags=facts, model_id=logged.model_id
        )
        client.set_registered_model_alias(tracking.model_name, CHALLENGER, made.version)
        _link(client, run_id, logged.model_id, metrics)
    log.info("registered %s version %s as @%s", tracking.model_name, made.version, CHALLENGER)
    return Registration(
        name=tracking.model_name,
        version=int(made.version),
        model_id=logged.model_id,
        run_id=run_id,
        uri=f"models:/{tracking.model_name}@{CHALLENGER}",
        tracking_uri=without_passwords(tracking.resolved_uri),
    )


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


def _upload(
    client: MlflowClient,
    tracking: Tracking,
    model: ServedModel,
    experiment: str,
    run_id: str,
    facts: Mapping[str, str],
) -> LoggedModel:
    """The logged model, whole and READY; a broken upload leaves one that is marked FAILED."""
    logged = client.create_logged_model(
        experiment, name=tracking.model_name, source_run_id=run_id, tags=dict(facts), model_type="embedding"
    )
    status = "FAILED"
    try:
        with tempfile.TemporaryDirectory() as folder:
            _save(model, Path(folder), model_id=logged.model_id, run_id=run_id)
            client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
        status = "READY"
    finally:
        client.finalize_logged_model(logged.model_id, status)
    return logged


def _save(model: ServedModel, folder: Path, *, model_id: str, run_id: str) -> None:
    """Writes MLflow's model layout to `folder/model`."""
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    files, loader = folder / "files", folder / f"{_LOADER}.py"
    files.mkdir()
    for name, file in model.files.items():
        shutil.copyfile(file, files / name)
    shutil.copyfile(model.loader, loader)
    # No input schema: MLflow would force every input into one kind, and paths, arrays and frames are all welcome.
    signature = ModelSignature(
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, model.embedding_size))]),
        params=ParamSchema([ParamSpec("normalise", "boolean", False)]),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example", category=UserWarning)
        mlflow.pyfunc.save_model(
            str(folder / "model"),
            loader_module=_LOADER,
            data_path=str(files),
            code_paths=[str(loader)],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            signature=signature,
            pip_requirements=[f"mlflow=={mlflow.__version__}", *model.requirements],
        )


def _link(client: MlflowClient, run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
    """Shows the model among the run's outputs, and the figures of its evaluation beside the model."""
    from mlflow.entities import LoggedModelOutput, Metric

    now_ms = int(time.time() * 1000)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    client.log_batch(
        run_id,
        metrics=[Metric(k, float(v), now_ms, 0, model_id=model_id, run_id=run_id) for k, v in metrics.items()],
    )


def _ensure_registered(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description="Person re-identification: pictures to embeddings.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


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
