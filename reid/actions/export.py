"""`export`: the network as ONNX under TAO's names, checked against the trained one on real images."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from reid.actions.base import action_run
from reid.actions.parent import checkpoint_of
from reid.actions.result import ActionResult
from reid.actions.subsets import open_subsets
from reid.data.images import Pixels, Preprocess
from reid.deploy.onnx import export_onnx
from reid.devices import use_cpu_threads
from reid.files import sha256_of
from reid.spec.re_identification import ReIdentificationSpec

log = logging.getLogger(__name__)


def export(spec: ReIdentificationSpec) -> ActionResult:
    """Exports on the CPU; writes `model.onnx` and `model.json` with preprocessing, versions and parity figures.

    The check uses `export.verify_images` of the query images, else of the gallery, else of the training images.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another network.
        ExportError: onnxruntime computes something else than the network; nothing is written then.
    """
    with action_run("export", spec) as run:
        use_cpu_threads(spec.cpu_threads)
        checkpoint = checkpoint_of(spec, "export")
        preprocess = Preprocess.from_dict(checkpoint.preprocess)
        path = Path(spec.export.onnx_file) if spec.export.onnx_file else run.folder / "model.onnx"
        parity = export_onnx(
            checkpoint.build_network(),
            path,
            preprocess=preprocess,
            images=_pictures(spec, preprocess),
            opset=spec.export.opset_version,
            metadata={
                "backbone": checkpoint.network.backbone,
                "checkpoint": checkpoint.path.name,
                "checkpoint_sha256": sha256_of(checkpoint.path),
                "train_fingerprint": str(checkpoint.provenance["train_fingerprint"]),
            },
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
        for file in (path, description):
            run.tracker.log_artifact(file)
        return ActionResult("export", run.folder, figures, {"onnx": path, "description": description}, run.tracker.id)


def _pictures(spec: ReIdentificationSpec, preprocess: Preprocess) -> Pixels:
    """Real images at the network's size; noise, and a word about it, when the spec names no images at all."""
    count = spec.export.verify_images
    for name, key in (("query", "query_dataset_dir"), ("gallery", "test_dataset_dir"), ("train", "train_dataset_dir")):
        place = str(getattr(spec.dataset, key))
        if place and count:
            subsets = open_subsets(spec, {name: (f"dataset.{key}", place)}, named=False)
            paths = subsets[name].images[:count]
            return subsets.pack(paths, preprocess, workers=spec.dataset.num_workers).images(np.arange(len(paths)))
    reason = "dataset.* names no images" if count else "export.verify_images is 0"
    log.warning("%s: the exported network is checked on noise instead of pictures", reason)
    noise = np.random.default_rng(0).integers(0, 256, (8, preprocess.height, preprocess.width, 3))
    return noise.astype(np.uint8)
