"""Tracking on a real sqlite store: what a run records, how it ends, and how its files are found again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reid.errors import TrackingError
from reid.tracking import Tracking, pipeline_run, results_folder_of, start_run
from reid.tracking.params import flatten, pipeline_key, without_secrets
from reid.tracking.provenance import code_revision, revision_tags, versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

SPEC: dict[str, Any] = {
    "results_dir": "results",
    "encryption_key": "open sesame",
    "train": {"num_epochs": 3, "optim": {"lr_steps": [40, 70], "base_lr": 0.00035}, "results_dir": ""},
    "evaluate": {"checkpoint": "a.pth"},
    "mlflow": {"enable": True, "tracking_uri": "http://user:password@host:5000/"},
}


def test_importing_and_using_tracking_that_is_off_never_imports_mlflow() -> None:
    program = """
import sys
from pathlib import Path
from reid.tracking import Tracking, pipeline_run, start_run
with pipeline_run(Tracking(), name="pipeline") as parent, \
        start_run(Tracking(), action="train", resolved_spec={}) as run:
    run.log_params({"a": 1})
    run.log_metrics({"loss": 1.0}, step=1)
    run.log_artifact(Path("missing"))
    run.log_dict({}, "x.json")
    run.set_tags({"a": "b"})
print(parent.id, run.id, run.parent_id, "mlflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["None", "None", "None", "False"]


def test_nested_keys_become_dotted_names_and_values_words_or_json() -> None:
    assert flatten({"a": {"b": [1, 2], "c": {}}, "d": None, "e": True, "f": "word", "g": 0.5}) == {
        "a.b": "[1, 2]",
        "a.c": "{}",
        "d": "null",
        "e": "true",
        "f": "word",
        "g": "0.5",
    }


def test_a_value_longer_than_mlflow_takes_is_cut_at_6000_characters() -> None:
    assert len(flatten({"a": "x" * 9000})["a"]) == 6000


def test_pass_phrases_and_passwords_in_addresses_are_not_shown() -> None:
    shown = without_secrets(SPEC)

    assert shown["encryption_key"] == "***"
    assert shown["mlflow"]["tracking_uri"] == "http://***@host:5000/"
    assert shown["train"] == SPEC["train"]


def test_actions_that_differ_in_folders_and_checkpoints_share_a_pipeline_and_others_do_not() -> None:
    elsewhere = {**SPEC, "results_dir": "other", "evaluate": {"checkpoint": "b.pth"}, "mlflow": {}}
    longer = {**SPEC, "train": {**SPEC["train"], "num_epochs": 4}}

    assert pipeline_key("dvc", SPEC) == pipeline_key("dvc", elsewhere)
    assert len({pipeline_key("dvc", SPEC), pipeline_key("dvc", longer), pipeline_key("nightly", SPEC)}) == 3


def test_a_relative_sqlite_file_is_made_absolute_and_keeps_its_files_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert Tracking().resolved_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert Tracking().artifact_location == f"file://{tmp_path}/mlartifacts"
    assert Tracking(uri="http://host:5000").artifact_location is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from.environment")
    assert Tracking().resolved_uri == "http://from.environment"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_git_commit_dirty_flag_and_dvc_lock_are_noted(tmp_path: Path) -> None:
    code = {"reid.code_revision", "reid.code_changed"}  # where these tests run in a checkout
    assert revision_tags(tmp_path).keys() <= code
    git(tmp_path, "init", "-q")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    git(tmp_path, "add", "dvc.lock")
    git(tmp_path, "commit", "-q", "-m", "first")

    clean = revision_tags(tmp_path)
    (tmp_path / "dvc.lock").write_text("")
    dirty = revision_tags(tmp_path)

    assert clean["mlflow.source.git.commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert clean["reid.git_dirty"] == "false"
    assert len(clean["reid.dvc_lock_sha256"]) == 64
    assert dirty["reid.git_dirty"] == "true"
    # SHA-256 of no bytes
    assert dirty["reid.dvc_lock_sha256"] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A committed package and a file beside it, in a working copy."""
    folder = tmp_path / "checkout" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder.parent / "params.yaml").write_text("a: 1\n")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-q", "-m", "first")
    return folder


def test_the_revision_of_the_code_is_that_of_its_own_checkout(package: Path) -> None:
    (package.parent / "params.yaml").write_text("a: 2\n")  # an experiment, and no other code

    assert code_revision(package) == (git(package, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_changed_and_new_files_of_the_code_mark_its_revision(package: Path, name: str) -> None:
    (package / name).write_text("a = 1\n")

    assert code_revision(package) == (git(package, "rev-parse", "HEAD"), True)


def test_code_that_is_installed_inside_another_working_copy_has_no_revision(package: Path, tmp_path: Path) -> None:
    installed = package.parent / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    outside = tmp_path / "outside"
    outside.mkdir()

    assert code_revision(installed) is None
    assert code_revision(outside) is None


def test_versions_name_python_and_what_is_installed() -> None:
    assert {"python", "torch", "timm"} <= versions().keys()


def test_a_folder_as_store_is_refused_before_mlflow_is_imported() -> None:
    with pytest.raises(TrackingError, match="is a folder"), _train(Tracking(enable=True, uri="./mlruns")):
        pass


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # for SPEC's relative results_dir
        yield Tracking(enable=True, uri=f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module")
def client(tracking: Tracking) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking.resolved_uri)


def test_a_run_holds_the_spec_the_parameters_the_metrics_by_epoch_and_the_files(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "cmc_curve.png").write_bytes(b"png")

    with start_run(tracking, action="train", resolved_spec=SPEC, tags={"reid.dataset": "f00d"}) as run:
        for epoch in range(3):
            run.log_metrics({"loss": 1 / (epoch + 1), "lr": 0.1}, step=epoch)
        run.log_params({f"many.{index}": index for index in range(250)})
        run.log_artifact(tmp_path / "plots" / "cmc_curve.png", "evaluate")
        run.log_artifact(tmp_path / "plots", "all")

    assert run.id is not None
    stored = client.get_run(run.id)
    history = client.get_metric_history(run.id, "loss")
    assert (stored.info.status, stored.info.run_name, run.parent_id) == ("FINISHED", "train", None)
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert stored.data.params["train.optim.lr_steps"] == "[40, 70]"
    assert sum(name.startswith("many.") for name in stored.data.params) == 250
    assert stored.data.tags["reid.dataset"] == "f00d"
    files = Path(client.download_artifacts(run.id, ""))
    assert yaml.safe_load((files / "experiment.yaml").read_text()) == without_secrets(SPEC)
    assert json.loads((files / "versions.json").read_text()).keys() == versions().keys()
    assert (files / "evaluate" / "cmc_curve.png").read_bytes() == b"png"
    assert (files / "all" / "cmc_curve.png").is_file()


@pytest.mark.parametrize(
    ("raised", "status"),
    [(ValueError("no loss"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED")],
)
def test_an_exception_ends_the_run_and_goes_on(
    tracking: Tracking, client: MlflowClient, raised: BaseException, status: str
) -> None:
    with pytest.raises(type(raised)), _train(tracking) as run:
        raise raised

    stored = client.get_run(run.id)
    assert stored.info.status == status
    assert stored.data.tags.get("reid.error") == ("ValueError: no loss" if status == "FAILED" else None)


def test_actions_are_nested_under_the_run_of_their_flow(tracking: Tracking, client: MlflowClient) -> None:
    with pipeline_run(tracking, name="pipeline", resolved_spec=SPEC) as parent:
        assert parent.id is not None
        with _train(Tracking(enable=True, uri=tracking.uri, parent_run=parent.id)) as run:
            pass
        assert client.get_run(parent.id).info.status == "RUNNING"

    assert run.parent_id == parent.id
    assert client.get_run(run.id).data.tags["mlflow.parentRunId"] == parent.id
    assert client.get_run(parent.id).info.status == "FINISHED"


def test_separate_actions_of_one_pipeline_and_spec_share_one_parent(tracking: Tracking, client: MlflowClient) -> None:
    collected = Tracking(enable=True, uri=tracking.uri, pipeline="it's dvc")
    with start_run(collected, action="dataset", resolved_spec=SPEC) as first:
        pass
    with pytest.raises(ValueError, match="no loss"), start_run(collected, action="train", resolved_spec=SPEC) as second:
        raise ValueError("no loss")
    changed = {**SPEC, "train": {"num_epochs": 9}}
    with start_run(collected, action="train", resolved_spec=changed) as third:
        pass

    assert first.parent_id == second.parent_id != third.parent_id
    parents = [client.get_run(run.parent_id) for run in (first, third)]
    assert [parent.info.status for parent in parents] == ["FAILED", "FINISHED"]
    assert {parent.info.run_name for parent in parents} == {"it's dvc"}


def test_an_unknown_parent_run_is_an_error_before_the_work_begins(tracking: Tracking) -> None:
    with (
        pytest.raises(TrackingError, match=r"'nobody' \(mlflow.parent_run\)"),
        _train(Tracking(enable=True, uri=tracking.uri, parent_run="nobody")),
    ):
        pytest.fail("the work began")


def test_a_missing_file_is_the_callers_error(tracking: Tracking) -> None:
    with pytest.raises(FileNotFoundError), _train(tracking) as run:
        run.log_artifact(Path("missing.png"))


def test_a_run_leads_back_to_its_results_folder(tracking: Tracking, tmp_path: Path) -> None:
    with start_run(tracking, action="train", resolved_spec={"results_dir": str(tmp_path / "results")}) as run:
        _write_run_json(tmp_path / "results" / "train", run.id)

    assert results_folder_of(tracking, str(run.id), cache_dir=tmp_path / "cache") == tmp_path / "results"


def test_a_pipelines_run_leads_to_the_folder_its_actions_wrote(tracking: Tracking, tmp_path: Path) -> None:
    with pipeline_run(tracking, name="pipeline", resolved_spec={"results_dir": str(tmp_path)}) as parent:
        _write_run_json(tmp_path / "train", "the child", parent_run_id=parent.id)

    assert results_folder_of(tracking, str(parent.id), cache_dir=tmp_path / "cache") == tmp_path


def test_an_action_with_its_own_folder_leads_to_that_folder(tracking: Tracking, tmp_path: Path) -> None:
    spec = {"results_dir": str(tmp_path / "results"), "train": {"results_dir": str(tmp_path / "elsewhere")}}
    with start_run(tracking, action="train", resolved_spec=spec) as run:
        _write_run_json(tmp_path / "elsewhere", run.id)

    assert results_folder_of(tracking, str(run.id), cache_dir=tmp_path / "cache") == tmp_path / "elsewhere"


def test_when_a_later_run_took_the_folder_the_runs_own_files_are_fetched(tracking: Tracking, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model_best.pth"
    checkpoint.write_bytes(b"weights")
    with (
        pipeline_run(tracking, name="pipeline") as parent,
        start_run(
            Tracking(enable=True, uri=tracking.uri, parent_run=str(parent.id)),
            action="train",
            resolved_spec={"results_dir": str(tmp_path / "results")},
        ) as run,
    ):
        run.log_artifact(checkpoint)
    _write_run_json(tmp_path / "results" / "train", "a later run")

    of_run = results_folder_of(tracking, str(run.id), cache_dir=tmp_path / "cache")
    of_pipeline = results_folder_of(tracking, str(parent.id), cache_dir=tmp_path / "cache")

    assert (of_run / "train" / "model_best.pth").read_bytes() == b"weights"
    assert (of_pipeline / "train" / "model_best.pth").read_bytes() == b"weights"


def test_a_run_without_folder_and_files_is_an_error_that_names_the_folder(tracking: Tracking, tmp_path: Path) -> None:
    with start_run(tracking, action="train", resolved_spec={"results_dir": "/gone"}) as run:
        pass

    with pytest.raises(TrackingError, match=r"has no files, and its results folder /gone is gone"):
        results_folder_of(tracking, str(run.id), cache_dir=tmp_path)


def test_an_unknown_run_is_an_error_that_names_it(tracking: Tracking, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="'nobody'"):
        results_folder_of(tracking, "nobody", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite:///{folder}", "unable to open database file"),
        ("sqlite:///{folder}/notes.txt", "file is not a database"),
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://user:password@127.0.0.1:1", "Connection refused"),
        ("http://127.0.0.1:wrong", "Port could not be cast to integer"),
        ("postgresql://user:password@127.0.0.1:1/runs", "Connection refused"),
    ],
)
def test_a_store_that_does_not_answer_is_an_error_within_seconds_and_without_the_password(
    tmp_path: Path, uri: str, reason: str
) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    started = time.monotonic()

    with (
        pytest.raises(TrackingError, match=f"no MLflow store answers at .*{reason}") as raised,
        _train(Tracking(enable=True, uri=uri.format(folder=tmp_path))),
    ):
        pytest.fail("the work began")

    assert time.monotonic() - started < 10
    assert "password" not in str(raised.value)


def _train(tracking: Tracking) -> Any:
    return start_run(tracking, action="train", resolved_spec=SPEC)


def _write_run_json(folder: Path, run_id: str | None, **more: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"run_id": run_id, **more}))
