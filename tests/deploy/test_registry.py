"""Registering and promoting on a real sqlite store."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from reid.data.images import normalise
from reid.deploy.package import LOADER, pinned_requirements, read_export
from reid.errors import PromotionRefused, TrackingError
from reid.tracking import Registration, ServedModel, Tracking, promote_challenger, register_model, start_run
from tests.deploy.conftest import PREPROCESS, Exported, loaded

pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return Tracking(enable=True, uri=f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")


@pytest.fixture
def tracking(store: Tracking) -> Tracking:
    """The shared store, with a model name of the test's own."""
    return replace(store, model_name=f"model-{uuid.uuid4().hex}")


def test_the_challenger_gives_the_embeddings_of_the_trained_network_for_paths_and_arrays(
    tracking: Tracking, exported: Exported
) -> None:
    import mlflow

    registered = _register(tracking, exported, mAP=0.5)
    inputs = normalise(loaded(exported.pictures), PREPROCESS.mean, PREPROCESS.std)
    with torch.inference_mode():
        expected = exported.network(torch.from_numpy(inputs)).numpy()

    mlflow.set_tracking_uri(registered.tracking_uri)
    model = mlflow.pyfunc.load_model(registered.uri)

    paths = [str(path) for path in exported.pictures]
    np.testing.assert_allclose(model.predict(paths), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(loaded(exported.pictures)), expected, atol=1e-5)
    unit = model.predict(paths, params={"normalise": True})
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_the_version_carries_its_run_figures_test_set_and_checkpoint(tracking: Tracking, exported: Exported) -> None:
    from mlflow import MlflowClient

    registered = _register(tracking, exported, mAP=0.5)

    client = MlflowClient(tracking_uri=tracking.resolved_uri)
    version = client.get_model_version_by_alias(tracking.model_name, "challenger")
    assert (int(version.version), version.run_id) == (1, registered.run_id)
    assert version.tags["metric.mAP"] == "0.5"
    assert version.tags["test_set"] == "images-a"
    assert version.tags["checkpoint_sha256"] == "c0ffee"
    assert client.get_run(registered.run_id).data.metrics == {"mAP": 0.5}
    logged = client.get_logged_model(registered.model_id)
    assert logged.status.value == "READY"
    assert {metric.key: metric.value for metric in logged.metrics} == {"mAP": 0.5}


@pytest.mark.slow
def test_the_challenger_loads_where_this_package_and_torch_are_not_installed(
    tracking: Tracking, exported: Exported
) -> None:
    registered = _register(tracking, exported, mAP=0.5)
    program = f"""
import sys
for name in ("reid", "torch", "onnx"):
    sys.modules[name] = None  # importing it raises ImportError
import mlflow
mlflow.set_tracking_uri({registered.tracking_uri!r})
embeddings = mlflow.pyfunc.load_model({registered.uri!r}).predict([{str(exported.pictures[0])!r}])
print(embeddings.shape, embeddings.dtype)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=exported.path.parent
    )

    assert done.stdout.strip() == "(1, 16) float32", done.stderr


@pytest.mark.slow
def test_the_challenger_answers_over_http_to_encoded_images(tracking: Tracking, exported: Exported) -> None:
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc import scoring_server

    registered = _register(tracking, exported, mAP=0.5)
    mlflow.set_tracking_uri(registered.tracking_uri)
    model = mlflow.pyfunc.load_model(registered.uri)
    expected = model.predict([str(exported.pictures[1])])
    image = "data:image/png;base64," + base64.b64encode(exported.pictures[1].read_bytes()).decode()

    with TestClient(scoring_server.init(model)) as http:
        answers = [
            http.post("/invocations", json=body).json()["predictions"]
            for body in ({"inputs": [image]}, {"dataframe_split": {"columns": ["image"], "data": [[image]]}})
        ]

    np.testing.assert_allclose(answers, [expected, expected], atol=1e-6)


def test_the_first_challenger_becomes_the_first_champion(tracking: Tracking, exported: Exported) -> None:
    _register(tracking, exported, mAP=0.5)

    promotion = promote_challenger(tracking)

    assert (promotion.version, promotion.previous, promotion.value, promotion.previous_value) == (1, None, 0.5, None)
    assert _champion(tracking) == 1


def test_a_better_challenger_replaces_the_champion(tracking: Tracking, exported: Exported) -> None:
    _register(tracking, exported, mAP=0.5)
    promote_challenger(tracking)
    _register(tracking, exported, mAP=0.6)

    promotion = promote_challenger(tracking, min_gain=0.05)

    assert (promotion.version, promotion.previous, promotion.value, promotion.previous_value) == (2, 1, 0.6, 0.5)
    assert _champion(tracking) == 2


@pytest.mark.parametrize(
    ("challenger", "min_gain", "message"),
    [
        ({"mAP": 0.5}, 0.0, r"0\.5000 for the challenger .* gain of \+0\.0000"),
        ({"mAP": 0.4}, 0.0, r"a gain of -0\.1000.*promote\.min_gain=0"),
        ({"mAP": 0.55}, 0.1, r"a gain of \+0\.0500.*promote\.min_gain=0\.1"),
        ({"mAP": float("nan")}, 0.0, r"mAP of the challenger \(version 2\) is nan"),
        ({"mAP": 0.9, "test_set": "images-b"}, 0.0, "different test sets: images-b and images-a"),
        ({"mAP": 0.9, "test_set": ""}, 0.0, "different test sets: unknown and images-a"),
        ({"mAP": 0.9, "protocol": {"re_ranking": True}}, 0.0, "re_ranking: True and False"),
        ({"mINP": 0.9}, 0.0, r"challenger \(version 2\) has no figure 'mAP'; it has \['mINP'\]"),
    ],
)
def test_a_challenger_that_is_not_better_or_not_comparable_is_refused_and_the_champion_stays(
    tracking: Tracking, exported: Exported, challenger: dict[str, Any], min_gain: float, message: str
) -> None:
    _register(tracking, exported, mAP=0.5)
    promote_challenger(tracking)
    _register(tracking, exported, **challenger)

    with pytest.raises(PromotionRefused, match=message):
        promote_challenger(tracking, min_gain=min_gain)

    assert _champion(tracking) == 1


def test_promoting_twice_says_that_it_is_the_champion_already(tracking: Tracking, exported: Exported) -> None:
    _register(tracking, exported, mAP=0.5)
    promote_challenger(tracking)

    with pytest.raises(PromotionRefused, match=r"version 1 of .* is the champion already"):
        promote_challenger(tracking)


def test_promoting_a_model_nobody_registered_names_it(tracking: Tracking) -> None:
    with pytest.raises(PromotionRefused, match=f"{tracking.model_name!r} has no version with the alias 'challenger'"):
        promote_challenger(tracking)


def test_an_upload_that_fails_leaves_no_version_and_no_alias(tracking: Tracking, exported: Exported) -> None:
    assert tracking.database is not None
    artifacts = tracking.database.parent / "mlartifacts"
    _register(replace(tracking, model_name="other"), exported, mAP=0.5)  # makes the folder
    moved = artifacts.with_name("moved")
    artifacts.rename(moved)
    artifacts.write_text("a file where the folder should be")
    try:
        with pytest.raises(TrackingError, match="registering"):
            _register(tracking, exported, mAP=0.5)
    finally:
        artifacts.unlink()
        shutil.move(moved, artifacts)

    with pytest.raises(PromotionRefused, match="has no version"):
        promote_challenger(tracking)


def _register(
    tracking: Tracking,
    exported: Exported,
    *,
    test_set: str = "images-a",
    protocol: dict[str, Any] | None = None,
    **metrics: float,
) -> Registration:
    model = read_export(exported.path)
    with start_run(tracking, action="register", resolved_spec={}) as run:
        return register_model(
            tracking,
            ServedModel(model.files, LOADER, pinned_requirements(), model.embedding_size),
            run_id=str(run.id),
            metrics=metrics,
            test_set=test_set,
            protocol=protocol or {"re_ranking": False, "exclude": "same_camera"},
            tags=model.metadata,
        )


def _champion(tracking: Tracking) -> int:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.resolved_uri)
    return int(client.get_model_version_by_alias(tracking.model_name, "champion").version)
