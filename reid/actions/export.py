"""`export`: the network as ONNX under TAO's names, checked against the trained one on real images."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from reid.actions.base import action_run
from reid.actions.card import write_model_card
from reid.actions.handover import hand_over
from reid.actions.recipes.table import recipe_of
from reid.actions.result import ActionResult
from reid.actions.subsets import require_images
from reid.data.archives import open_folder
from reid.data.cache import cache_folder
from reid.data.images import Pixels, Preprocess
from reid.data.records import Subset
from reid.deploy.onnx import export_onnx
from reid.devices import use_cpu_threads
from reid.errors import DataError
from reid.model.checkpoint import Checkpoint
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)


def export(spec: ExperimentSpec) -> ActionResult:
    """Exports on the CPU; writes `model.onnx`, `model.json` with preprocessing, versions and parity, `model_card.md`.

    The check uses `export.verify_images` of the query images, else of the gallery, else of the training images.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another network.
        DataError: the folder that the check takes its images from holds none that can be read.
        ExportError: onnxruntime computes something else than the network; nothing is written then.
    """
    with action_run("export", spec) as run:
        use_cpu_threads(spec.cpu_threads)
        spec, checkpoint = hand_over(spec, "export")
        preprocess = Preprocess.from_dict(checkpoint.preprocess)
        path = Path(spec.export.onnx_file)
        images, shown = _pictures(spec, preprocess)
        facts = _facts(checkpoint)
        run.begin(spec)
        parity = export_onnx(
            checkpoint.build_network(),
            path,
            preprocess=preprocess,
            images=images,
            opset=spec.export.written_opset,
            metadata=facts,
        )
        figures: dict[str, float | int | str] = {
            "max_abs_difference": parity.max_abs_difference,
            "min_cosine": parity.min_cosine,
            "checked_images": parity.images,
            "megabytes": round(path.stat().st_size / 1e6, 1),
        }
        run.status.write("RUNNING", "Exported and checked.", kpi=figures)
        run.tracker.log_metrics({name: float(value) for name, value in figures.items()})
        description = path.with_suffix(".json")
        card = write_model_card(spec, run.folder, checkpoint, checked_on=shown)
        files = {"onnx": path, "description": description, "model_card": card}
        for file in files.values():
            run.tracker.log_artifact(file)
        return ActionResult("export", run.folder, figures, files, run.tracker.id)


def _facts(checkpoint: Checkpoint) -> dict[str, str]:
    """What the file tells of its origin; that it knows no cameras is told in the log as well."""
    facts = {
        "backbone": checkpoint.network.backbone,
        "checkpoint": checkpoint.path.name,
        "checkpoint_sha256": checkpoint.sha256,
        "train_fingerprint": str(checkpoint.provenance["train_fingerprint"]),
    }
    if checkpoint.network.sie_camera or checkpoint.network.sie_view:
        cameras, views = len(checkpoint.network.cameras), len(checkpoint.network.views)
        facts["side_information"] = f"mean of the embeddings of {cameras} cameras and {views} views"
        log.info("the exported network takes images alone and adds the %s to all", facts["side_information"])
    return facts


def _pictures(spec: ExperimentSpec, preprocess: Preprocess) -> tuple[Pixels, str]:
    """Real images at the network's size and which they are; noise, and a word about it, when the spec names none."""
    count = spec.export.verify_images
    for name in ("query", "gallery", "train"):
        key, place = spec.dataset_places[name]
        if place and count:
            subset = _images_of(spec, name, key, place)
            return _first_pictures(subset, key, preprocess, count, spec.dataset.on_bad_image), f"{name} images"
    reason = "dataset.* names no images" if count else "export.verify_images is 0"
    log.warning("%s: the exported network is checked on noise instead of pictures", reason)
    noise = np.random.default_rng(0).integers(0, 256, (8, preprocess.height, preprocess.width, 3))
    return noise.astype(np.uint8), "noise instead of pictures"


def _images_of(spec: ExperimentSpec, name: str, key: str, place: str) -> Subset:
    """A subset as it lies there; no image is opened yet."""
    limit = spec.dataset.max_archive_bytes
    folder = open_folder(place, cache_dir=cache_folder(spec.dataset.cache_dir), max_bytes=limit)
    subset = recipe_of(spec).read(spec, {name: folder}, action="export")[name]
    require_images(subset, key)
    return subset


def _first_pictures(subset: Subset, key: str, preprocess: Preprocess, count: int, on_bad_image: str) -> Pixels:
    """uint8 [B, H, W, 3], the first `count` images that can be read; the rest of the subset stays unopened."""
    read: list[Pixels] = []
    for path in subset.images:
        try:
            read.append(preprocess.load(path))
        except DataError as error:
            if on_bad_image == "error":
                raise
            log.warning("left out of the export's check: %s", error.found)
        if len(read) == count:
            break
    if not read:
        raise DataError(
            f"none of the {len(subset.images)} images of the {subset.name} folder {subset.root} ({key}) can be read",
            "the exported network is checked on some of them",
            "restore them from their source, or set export.verify_images=0 to check on noise",
        )
    return np.stack(read)
