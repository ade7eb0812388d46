"""`encryption_key` through a whole chain: the passphrase opens the checkpoints and stands nowhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from reid.actions.evaluate import evaluate
from reid.actions.export import export
from reid.actions.inference import inference
from reid.actions.select import select
from reid.actions.train import train
from reid.errors import CheckpointError
from reid.model.checkpoint import load_checkpoint
from reid.model.encryption import is_encrypted
from reid.spec.load import load_spec
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import require_whole_description, rows

KEY = "a passphrase of the test"
GIVEN = f"encryption_key={KEY}"


@pytest.fixture(scope="module")
def secret(make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a training of two epochs with encrypted checkpoints, resumed after the first."""
    results = tmp_path_factory.mktemp("secret")
    train(make_spec("train", results, GIVEN, "train.num_epochs=1"))
    train(make_spec("train", results, GIVEN, "train.num_epochs=2"))
    return results


def test_every_checkpoint_is_encrypted_and_equals_that_of_a_plain_training(secret: Path, trained: Path) -> None:
    files = sorted((secret / "train").glob("*.pth"))

    assert len(files) == 4  # two epochs, the best, and the link
    for path in files:
        assert is_encrypted(path)
        require_whole_description(path, key=KEY)
    assert rows(secret / "train") == rows(trained / "train")[:2]


@pytest.mark.slow  # imports MLflow
def test_the_passphrase_stands_in_no_file_and_in_no_log_line(
    make_spec: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = f"mlflow.tracking_uri=sqlite:///{tmp_path}/mlflow.db"
    caplog.set_level(logging.DEBUG, logger="reid")

    train(make_spec("train", tmp_path, GIVEN, "train.num_epochs=1", "mlflow.enable=true", store))

    holding = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == []
    assert KEY not in caplog.text
    stored = load_checkpoint(tmp_path / "train" / "model_best.pth", encryption_key=KEY).spec
    assert stored["encryption_key"] == "${oc.env:REID_ENCRYPTION_KEY}"


def test_the_recorded_spec_does_the_same_with_the_passphrase_given_again(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REID_ENCRYPTION_KEY", KEY)
    again = load_spec("train", secret / "train" / "experiment.yaml", [f"results_dir={tmp_path}"]).spec
    train(again)

    assert rows(tmp_path / "train") == rows(secret / "train")
    assert is_encrypted(tmp_path / "train" / "model_best.pth")


def test_every_later_action_takes_the_passphrase_and_refuses_to_go_without(
    secret: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    parent = {"select": "select.run", "evaluate": "evaluate.parent_run", "export": "export.parent_run",
              "inference": "inference.parent_run"}  # fmt: skip
    for verb in (select, evaluate, inference, export):
        name = verb.__name__
        overrides = (f"{parent[name]}={secret}",)
        with pytest.raises(CheckpointError, match="is encrypted, and encryption_key is not set"):
            verb(make_spec(name, tmp_path / "without", *overrides))
        with pytest.raises(CheckpointError, match="does not open with this encryption_key"):
            verb(make_spec(name, tmp_path / "wrong", "encryption_key=another", *overrides))
        if verb in (select, evaluate):  # the others read it by the same function as evaluate
            verb(make_spec(name, tmp_path / "with", GIVEN, *overrides))

    best = load_checkpoint(secret / "train" / "model_best.pth", encryption_key=KEY)
    assert load_checkpoint(tmp_path / "with" / "select" / "model_selected.pth", encryption_key=KEY).step == best.step


def test_weights_to_start_from_may_be_encrypted(secret: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    weights = f"model.pretrained_model_path={secret / 'train' / 'model_best.pth'}"

    with pytest.raises(CheckpointError, match="encryption_key is not set"):
        train(make_spec("train", tmp_path / "without", weights, "train.num_epochs=1"))
    train(make_spec("train", tmp_path / "with", weights, GIVEN, "train.num_epochs=1"))


def test_a_training_may_become_encrypted_on_resume(make_spec: MakeSpec, tmp_path: Path) -> None:
    train(make_spec("train", tmp_path, "train.num_epochs=1"))
    train(make_spec("train", tmp_path, "train.num_epochs=2", GIVEN))

    assert not is_encrypted(next((tmp_path / "train").glob("model_epoch_000_*")))
    assert is_encrypted(next((tmp_path / "train").glob("model_epoch_001_*")))
