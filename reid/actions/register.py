"""`register`: the export becomes a version in MLflow's registry, with the figures of its evaluation."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reid.actions.base import action_run, tracking_of
from reid.actions.result import ActionResult
from reid.deploy.package import LOADER, ExportedModel, pinned_requirements, read_export
from reid.errors import CheckpointError, DataError
from reid.files import write_json
from reid.spec.experiment import ExperimentSpec
from reid.tracking import ServedModel, register_model

log = logging.getLogger(__name__)


def register(spec: ExperimentSpec) -> ActionResult:
    """Registers the export as `models:/<mlflow.model_name>@challenger`; writes `registration.json`.

    Without an evaluation the version is registered all the same, but it cannot be promoted. With `mlflow.enable` false
    nothing is registered, and `registration.json` says so: a pipeline without tracking ends well.

    Raises:
        ExportError: there is no export, or its files do not belong together.
        CheckpointError: the evaluation is of another checkpoint than the export.
        TrackingError: the store cannot be reached.
    """
    with action_run("register", spec) as run:
        target = run.folder / "registration.json"
        if not spec.mlflow.enable:
            log.warning("mlflow.enable is false: nothing is registered")
            write_json(target, {"registered": False, "reason": "mlflow.enable is false"})
            return ActionResult("register", run.folder, {"registered": "no"}, {"registration": target})
        run.begin(spec)
        assert run.tracker.id is not None  # tracking is on
        exported = read_export(_onnx_file(spec))
        evaluation = _evaluation(spec.results_folder("evaluate") / "metrics.json")
        _require_same_checkpoint(exported, evaluation)
        figures = {name: float(evaluation[name]) for name in spec.promote.metrics if name in evaluation}
        registration = register_model(
            tracking_of(spec),
            ServedModel(
                exported.files,
                LOADER,
                pinned_requirements(),
                exported.embedding_size,
                f"{spec.title}: pictures to embeddings.",
            ),
            run_id=run.tracker.id,
            metrics=figures,
            test_set=evaluation.get("test_set", ""),
            protocol=evaluation.get("protocol", {}),
            tags={**exported.metadata, "onnx_sha256": exported.sha256, **_source_runs(spec)},
        )
        written = {"registered": True, **asdict(registration), "metrics": figures, "onnx_sha256": exported.sha256}
        write_json(target, written)
        run.tracker.log_artifact(target)
    return ActionResult(
        "register",
        run.folder,
        {"model": registration.name, "version": registration.version, "uri": registration.uri, **figures},
        {"registration": target},
        run.tracker.id,
    )


def _onnx_file(spec: ExperimentSpec) -> Path:
    return Path(spec.export.onnx_file) if spec.export.onnx_file else spec.results_folder("export") / "model.onnx"


def _evaluation(path: Path) -> dict[str, Any]:
    """What `evaluate` wrote; empty, with a warning, when it did not run."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        log.warning("%s does not exist: the version is registered without figures and cannot be promoted", path)
        return {}
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}", "", "run the evaluate action again") from error
    return written if isinstance(written, dict) else {}


def _require_same_checkpoint(exported: ExportedModel, evaluation: dict[str, Any]) -> None:
    ours, theirs = exported.metadata.get("checkpoint_sha256"), evaluation.get("checkpoint_sha256", "")
    if evaluation and ours and ours != theirs:
        other = f"checkpoint {theirs[:12]}" if theirs else "embeddings of an unknown network"
        raise CheckpointError(
            f"the export was made of checkpoint {ours[:12]}, and the evaluation of {other}",
            "the version would carry the figures of another network",
            "run evaluate and export with the same checkpoint, then register again",
        )


def _source_runs(spec: ExperimentSpec) -> dict[str, str]:
    """MLflow ids of the runs the export comes from, as far as they were tracked: `run.train`, `run.evaluate`, ..."""
    found: dict[str, str] = {}
    for action in ("train", "evaluate", "export"):
        try:
            run_id = json.loads((spec.results_folder(action) / "run.json").read_text(encoding="utf-8")).get("run_id")
        except (OSError, ValueError, AttributeError):
            continue
        if run_id:
            found[f"run.{action}"] = run_id
    return found
