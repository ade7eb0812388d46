"""`inference`: an embedding for every image found, in TAO's JSON and as a Parquet table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.actions.base import action_run
from reid.actions.engine import embedder_of
from reid.actions.handover import hand_over
from reid.actions.pictures import notes_on
from reid.actions.processes import processes
from reid.actions.result import ActionResult
from reid.actions.scoring import batch_size_of, embed_pack
from reid.actions.settings import as_launched, hardware_of
from reid.actions.subsets import open_subsets, require_images
from reid.data.images import Preprocess
from reid.data.progress import progress
from reid.data.records import Record, Subset
from reid.errors import SpecError
from reid.files import atomic_path
from reid.retrieval.embedding_table import write_embedding_table
from reid.retrieval.embeddings import FloatArray
from reid.spec.experiment import ExperimentSpec


def inference(spec: ExperimentSpec) -> ActionResult:
    """Embeds query and gallery images, whatever their names; writes `inference.json` and `embeddings.parquet`.

    Query images come first, each side sorted by path. Junk and images without a readable identity are embedded too;
    only images that cannot be decoded are missing, and they are named in the log.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another network.
        DataError: a folder that the spec names holds no image, or none that can be read.
    """
    with action_run("inference", spec) as run:
        places = {name: place for name, place in spec.test_places("inference").items() if place[1]}
        if not places:
            raise SpecError(
                "neither inference.query_dataset nor inference.test_dataset is set",
                "there is no image to embed",
                "give at least one of them: a folder, an archive, or a URI to one",
            )
        spec, checkpoint = hand_over(as_launched(spec, "inference"), "inference")
        subsets = open_subsets(spec, places, action="inference")
        for name, subset in subsets.by_name.items():
            require_images(subset, places[name][0])
        images = [(name, path) for name, subset in subsets.by_name.items() for path in subset.images]
        records = _records(subsets.by_name, images)
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
        output = Path(spec.inference.output_file)
        table = run.folder / "embeddings.parquet"
        write_inference_json(output, [path for _, path in images], vectors)
        noted = {**notes_on(checkpoint), "embedding_engine": engine}
        write_embeddings_table(table, images, records, vectors, made_by=noted)
        figures: dict[str, float | int | str] = {
            "images": len(images),
            "embedding_size": int(vectors.shape[1]),
            "unreadable": len(subsets.report.unreadable),
        }
        run.status.write("RUNNING", "Embeddings written.", kpi=figures)
        run.tracker.log_metrics({name: float(value) for name, value in figures.items()})
        run.tracker.set_tags({"embedding_engine": engine})
        run.tracker.log_artifact(table)
        return ActionResult(
            "inference", run.folder, figures, {"inference": output, "embeddings": table}, run.tracker.id
        )


def write_inference_json(path: Path, images: Sequence[Path], vectors: FloatArray) -> None:
    """TAO's list of {"img_path": absolute path, "embedding": [float, ...]}, one entry a line; not normalised."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[\n")
        for index, (image, vector) in enumerate(zip(images, vectors, strict=True)):
            entry = {"img_path": str(image), "embedding": [float(str(number)) for number in vector]}
            file.write(("" if index == 0 else ",\n") + json.dumps(entry, allow_nan=False))
        file.write("\n]\n")


def write_embeddings_table(
    path: Path,
    images: Sequence[tuple[str, Path]],
    records: Sequence[Record | None],
    vectors: FloatArray,
    *,
    made_by: Mapping[str, Any],
) -> None:
    """Columns img_path, subset, pid, camid (null where the name has none) and embedding (a list of D float32).

    Args:
        path: of the table.
        images: subset and path of each image.
        records: what the name of each says; None where it says nothing.
        vectors: float32 [N, D].
        made_by: what `reid search` and `reid evaluate` must know of the network; the schema's metadata `reid`, as JSON.
    """
    write_embedding_table(
        path,
        vectors,
        paths=[str(image) for _, image in images],
        sides=[name for name, _ in images],
        pids=[record.pid if record else None for record in records],
        camids=[record.camid if record else None for record in records],
        made_by=made_by,
    )


def _records(subsets: dict[str, Subset], images: Sequence[tuple[str, Path]]) -> list[Record | None]:
    known: dict[tuple[str, Path], Record] = {
        (name, record.path): record for name, subset in subsets.items() for record in subset.records + subset.junk
    }
    return [known.get(image) for image in images]
