"""What `export` knows for its model card: the checkpoint's origin, and the evaluation of this very checkpoint."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

from reid.actions.protocol import VECTOR
from reid.model.checkpoint import Checkpoint
from reid.report.card import CardCheckpoint, CardFigures, write_card
from reid.spec.experiment import ExperimentSpec
from reid.tracking.params import without_secrets

log = logging.getLogger(__name__)

CARD = "model_card.md"

_NEEDED = (
    *("cmc_rank_1", "cmc_rank_5", "cmc_rank_10", "mAP", "mINP", "intervals", "queries_scored", "queries_without_match"),
    *("gallery", "gallery_distractors", "verification", "camera_pairs", "camera_pairs_left_out"),
    *("protocol", "test_set"),
)
_NEEDED_OF_CLASSES = (
    *("test Precision at Rank 1", "test Mean Average Precision", "test Mean Reciprocal Rank", "test r-Precision"),
    *("average_over", "k", "classes", "classes_scored", "open_set"),
)


def write_model_card(spec: ExperimentSpec, folder: Path, checkpoint: Checkpoint, *, checked_on: str) -> Path:
    """Writes `model_card.md` for the export that `export.onnx_file` names, which is there already.

    Args:
        spec: of the export, filled by the hand-over.
        folder: where the card goes.
        checkpoint: what was exported.
        checked_on: what the exported file was compared with the network on.
    """
    onnx = Path(spec.export.onnx_file)
    return write_card(
        folder / CARD,
        name=spec.mlflow.model_name,
        checkpoint=CardCheckpoint(
            file=checkpoint.path.name,
            sha256=checkpoint.sha256,
            epoch=checkpoint.epoch,
            step=checkpoint.step,
            network=checkpoint.network.to_dict(),
            provenance=checkpoint.provenance,
            spec=without_secrets(checkpoint.spec),
        ),
        figures=_figures(spec, checkpoint),
        exported=json.loads(onnx.with_suffix(".json").read_text(encoding="utf-8")),
        megabytes=onnx.stat().st_size / 1e6,
        checked_on=checked_on,
    )


def _figures(spec: ExperimentSpec, checkpoint: Checkpoint) -> CardFigures:
    """Of the evaluation in this spec's results, else in those that the checkpoint lies in."""
    folders = [checkpoint.path.absolute().parent.parent / "evaluate"]
    if spec.results_dir or spec.evaluate.results_dir:
        folders.insert(0, spec.results_folder("evaluate").absolute())
    absences = []
    for path in dict.fromkeys(folder / "metrics.json" for folder in folders):
        metrics, absence = _metrics(path, checkpoint)
        if metrics is not None:
            log.info("the model card takes its figures from %s", path)
            return CardFigures(metrics)
        absences.append(absence)
    log.warning("the model card says that the model is not evaluated: %s", absences[0])
    return CardFigures(None, absences[0], _command(spec, checkpoint))


def _metrics(path: Path, checkpoint: Checkpoint) -> tuple[dict[str, Any] | None, str]:
    """Content of a `metrics.json`, or None and a sentence on why it does not count."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, "There was no evaluation when the model was exported."
    except (OSError, ValueError) as error:
        return None, f"The evaluation beside the export cannot be read ({type(error).__name__})."
    measured = metrics.get("checkpoint_sha256") if isinstance(metrics, dict) else None
    if measured != checkpoint.sha256:
        other = f"of the checkpoint {str(measured)[:12]}" if measured else "of embeddings of an unknown network"
        return None, f"The evaluation beside the export is {other}, and not of {checkpoint.sha256[:12]}."
    needed = _NEEDED + (_NEEDED_OF_CLASSES if "train_classes" in checkpoint.provenance else ())
    if missing := [key for key in needed if key not in metrics]:
        return None, f"The evaluation beside the export is of another version: it has no {', '.join(missing)}."
    for key in VECTOR:
        exported = getattr(checkpoint.network, key)
        if metrics["protocol"].get(key, exported) != exported:
            return None, (
                f"The evaluation beside the export measured another vector of the network: {key} was "
                f"{metrics['protocol'][key]} there and is {exported} in the export."
            )
    return metrics, ""


def _command(spec: ExperimentSpec, checkpoint: Checkpoint) -> str:
    """A shell line that evaluates the checkpoint to where the next export looks; capitals stand for places unknown."""
    places = spec.test_places("evaluate")
    vector = {key: getattr(checkpoint.network, key) for key in VECTOR if key in type(spec.model).model_fields}
    words = {
        "evaluate.checkpoint": str(checkpoint.path.absolute()),
        **{spec.names[side]: places[side][1] or f"{side.upper()}_IMAGES" for side in ("query", "gallery")},
        **{f"model.{key}": str(value).lower() for key, value in vector.items()},
    }
    if spec.results_dir or spec.evaluate.results_dir:
        words["evaluate.results_dir"] = str(spec.results_folder("evaluate"))
    else:
        words["results_dir"] = str(checkpoint.path.absolute().parent.parent)
    return "reid evaluate \\\n  " + " \\\n  ".join(
        shlex.quote(f"{key}={without_secrets(value)}") for key, value in words.items()
    )
