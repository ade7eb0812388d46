"""A version of the exported model in MLflow's registry: its files, its figures, and the alias `challenger`."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid.tracking.settings import Tracking, without_passwords
from reid.tracking.store import connect, experiment_id, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

log = logging.getLogger(__name__)

CHALLENGER = "challenger"
"""Alias of the newest version."""

TEST_SET = "test_set"
PROTOCOL = "protocol"
METRIC = "metric."
"""Tags of a version: what its figures were measured on and how, and the beginning of the figures' own names."""

_LOADER = "reid_embedder"


@dataclass(frozen=True)
class ServedModel:
    """What makes a version that `mlflow.pyfunc.load_model` can load.

    Attributes:
        files: what the loader needs, by the name it has in the loader's folder.
        loader: Python file with `_load_pyfunc(folder)`; it travels with the version and must not import this package.
        requirements: packages the loader imports, pinned.
        embedding_size: values of one embedding.
        description: a sentence for the registry, when the name is new there.
    """

    files: Mapping[str, Path]
    loader: Path
    requirements: Sequence[str]
    embedding_size: int
    description: str = ""


@dataclass(frozen=True)
class Registration:
    """A version in the registry: `models:/<name>@challenger`, for as long as no later one takes the alias."""

    name: str
    version: int
    model_id: str
    run_id: str
    uri: str
    tracking_uri: str


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
        _ensure_registered(client, tracking.model_name, model.description)
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


def _ensure_registered(client: MlflowClient, name: str, description: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
