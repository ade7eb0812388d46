"""The actions `register` and `promote`, on the files that export and evaluate leave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reid.actions.promote import promote
from reid.actions.register import register
from reid.errors import CheckpointError, ExportError, PromotionRefused, SpecError
from reid.spec.load import load_spec
from reid.spec.re_identification import ReIdentificationSpec
from tests.deploy.conftest import Exported

pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def test_a_pipelines_results_are_registered_then_promoted_and_the_same_figures_again_are_not(
    tmp_path: Path, store: str, exported: Exported
) -> None:
    spec = _results(tmp_path, store, exported, mAP=0.5)

    registered = register(spec)
    promoted = promote(spec)
    register(spec)
    with pytest.raises(PromotionRefused, match=r"a gain of \+0\.0000"):
        promote(spec)

    assert registered.figures["uri"] == f"models:/{tmp_path.name}@challenger"
    assert (promoted.figures["champion"], promoted.figures["before"], promoted.figures["mAP"]) == (1, "none", 0.5)
    written = json.loads((tmp_path / "register" / "registration.json").read_text())
    assert (written["version"], written["metrics"]) == (2, {"mAP": 0.5})
    assert json.loads((tmp_path / "promote" / "promotion.json").read_text())["version"] == 1


def test_the_version_names_the_training_run_it_comes_from(tmp_path: Path, store: str, exported: Exported) -> None:
    from mlflow import MlflowClient

    spec = _results(tmp_path, store, exported, mAP=0.5)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "run.json").write_text('{"action": "train", "run_id": "abc123"}')

    result = register(spec)

    version = MlflowClient(tracking_uri=store).get_model_version_by_alias(tmp_path.name, "challenger")
    assert version.tags["run.train"] == "abc123"
    assert version.run_id == result.run_id


def test_the_figures_of_another_checkpoint_are_not_registered(tmp_path: Path, store: str, exported: Exported) -> None:
    spec = _results(tmp_path, store, exported, mAP=0.5, checkpoint_sha256="decade")

    with pytest.raises(CheckpointError, match=r"export was made of checkpoint c0ffee, and the evaluation of .* decade"):
        register(spec)


def test_the_figures_of_a_file_of_embeddings_by_an_unknown_network_are_not_registered(
    tmp_path: Path, store: str, exported: Exported
) -> None:
    spec = _results(tmp_path, store, exported, mAP=0.5, checkpoint_sha256=None)

    with pytest.raises(CheckpointError, match="the evaluation of embeddings of an unknown network"):
        register(spec)


def test_without_an_evaluation_a_model_is_registered_and_not_promoted(
    tmp_path: Path, store: str, exported: Exported
) -> None:
    spec = _results(tmp_path, store, exported)
    (tmp_path / "evaluate" / "metrics.json").unlink()

    register(spec)

    with pytest.raises(PromotionRefused, match="has no figure 'mAP'; it has none"):
        promote(spec)


def test_registering_without_an_export_says_which_action_to_run_first(tmp_path: Path, store: str) -> None:
    with pytest.raises(ExportError, match="run the export action first"):
        register(_spec(tmp_path, store))


def test_promoting_asks_for_mlflow(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"add mlflow\.enable=true"):
        promote(load_spec("promote", None, [f"results_dir={tmp_path}"]).spec)


def _results(folder: Path, store: str, exported: Exported, **metrics: float | str | None) -> ReIdentificationSpec:
    """A results folder with this export and evaluation."""
    (folder / "export").mkdir()
    (folder / "evaluate").mkdir()
    for file in (exported.path, exported.path.with_suffix(".json")):
        shutil.copy(file, folder / "export")
    same = {"test_set": "images-a", "protocol": {"re_ranking": False}, "checkpoint_sha256": "c0ffee"}
    evaluation = {name: value for name, value in {**same, **metrics}.items() if value is not None}
    (folder / "evaluate" / "metrics.json").write_text(json.dumps(evaluation))
    return _spec(folder, store)


def _spec(folder: Path, store: str) -> ReIdentificationSpec:
    keys = [f"results_dir={folder}", "mlflow.enable=true", f"mlflow.tracking_uri={store}"]
    return load_spec("register", None, [*keys, f"mlflow.model_name={folder.name}"]).spec
