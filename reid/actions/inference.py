"""`inference`: an embedding for every image found, and what the family makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reid.actions.base import action_run
from reid.actions.engine import embedder_of
from reid.actions.handover import hand_over
from reid.actions.pictures import notes_on
from reid.actions.processes import processes
from reid.actions.recipes.inputs import Inputs
from reid.actions.recipes.table import recipe_of
from reid.actions.result import ActionResult
from reid.actions.scoring import batch_size_of, embed_pack
from reid.actions.settings import as_launched, hardware_of
from reid.actions.subsets import open_subsets, require_images
from reid.data.images import Preprocess
from reid.data.progress import progress
from reid.data.records import Record, Subset
from reid.spec.experiment import ExperimentSpec


def inference(spec: ExperimentSpec) -> ActionResult:
    """Embeds query and gallery images, whatever their names, and writes what the family's users want of them.

    For people that are `inference.json` and `embeddings.parquet`; for classes `result.csv` with the answers, and
    `embeddings.parquet`. Query images come first, each side sorted by path. Junk and images without a readable label
    are embedded too; only images that cannot be decoded are missing, and they are named in the log.

    Raises:
        SpecError: no image to embed is named, or nothing to compare it with.
        CheckpointError: there is no checkpoint, or it is of another network.
        DataError: a folder that the spec names holds no image, or none that can be read.
    """
    with action_run("inference", spec) as run:
        recipe = recipe_of(spec)
        places = recipe.places_to_embed(spec)
        spec, checkpoint = hand_over(as_launched(spec, "inference"), "inference")
        subsets = open_subsets(spec, places, action="inference")
        for name, subset in subsets.by_name.items():
            require_images(subset, places[name][0])
        images = [(name, path) for name, subset in subsets.by_name.items() for path in subset.images]
        records = _records(subsets.by_name, images)
        answering = recipe.answering(spec, notes_on(checkpoint), subsets.by_name)
        run.begin(spec)
        preprocess = Preprocess.from_dict(checkpoint.preprocess)
        pack = subsets.pack([path for _, path in images], preprocess, workers=spec.workers)
        hardware = hardware_of(spec, "inference")
        with processes("inference", spec, hardware):
            network, engine = embedder_of(
                spec, checkpoint, pack, images=len(images), hardware=hardware, cache_dir=subsets.cache_dir
            )
            with progress("embedding", len(images), unit="images") as advance:
                vectors = embed_pack(
                    network,
                    pack,
                    records,
                    preprocess,
                    batch_size_of(spec, "inference"),
                    hardware.device,
                    progress=advance,
                )
        if vectors is None:  # this process has embedded its share; the main one goes on
            return ActionResult("inference", run.folder, {}, {}, None)
        inputs = Inputs(images, records, vectors, subsets.by_name, {**notes_on(checkpoint), "embedding_engine": engine})
        answers = answering(inputs, run.folder)
        figures: dict[str, float | int | str] = {
            "images": len(images),
            "embedding_size": int(vectors.shape[1]),
            "unreadable": len(subsets.report.unreadable),
            **answers.figures,
        }
        run.status.write("RUNNING", "Embeddings written.", kpi=figures)
        run.tracker.log_metrics({name: float(value) for name, value in figures.items()})
        run.tracker.set_tags({"embedding_engine": engine})
        for name in answers.tracked:
            run.tracker.log_artifact(answers.files[name])
        return ActionResult("inference", run.folder, figures, answers.files, run.tracker.id)


def _records(subsets: dict[str, Subset], images: Sequence[tuple[str, Path]]) -> list[Record | None]:
    known: dict[tuple[str, Path], Record] = {
        (name, record.path): record for name, subset in subsets.items() for record in subset.records + subset.junk
    }
    return [known.get(image) for image in images]
