"""Metric-learning recognition: the folder of an image is its class, and the nearest reference names it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid.actions.inference_files import TABLE, write_embeddings_table
from reid.actions.recipes.base import Recipe
from reid.actions.recipes.inputs import Answering, Answers, Inputs
from reid.data.class_folders import numbered_like, read_class_folders
from reid.data.class_map import read_class_map
from reid.data.inputs import read_images
from reid.data.records import Subset
from reid.data.requirements import require_referenced, require_trainable
from reid.errors import CheckpointError, DataError, SpecError
from reid.model.selection import LATEST_OF_CLASSES
from reid.retrieval.class_table import class_table
from reid.retrieval.clusters import cluster_agreement
from reid.retrieval.distance import euclidean_name
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognised import recognise, write_result_csv
from reid.retrieval.recognition import Average, measure_recognition
from reid.retrieval.recognition_evaluation import Recognition, evaluate_recognition
from reid.retrieval.references import References, read_gallery_references
from reid.spec.experiment import Place
from reid.spec.ml_recog import MlRecogSpec

if TYPE_CHECKING:
    from reid.actions.recipes.training import TrainingRecipe

log = logging.getLogger(__name__)

_WEAKEST = 5  # classes that a validation names


class RecognitionRecipe(Recipe[MlRecogSpec]):
    """Class folders, mined triplets, and answers by the nearest reference."""

    answer_file = "result.csv"
    latest_file = LATEST_OF_CLASSES
    cameras = False

    def read(self, spec: MlRecogSpec, folders: Mapping[str, Path], *, action: str) -> dict[str, Subset]:
        """Class folders, numbered together; the images that inference shall recognise may have no class.

        Where those do have one, it is that of a reference if the name of its folder is.
        """
        given = dict(folders)
        asked = given.pop("query", None) if action == "inference" else None
        class_map = read_class_map(Path(spec.dataset.class_map)) if spec.dataset.class_map else None
        read = read_class_folders(given, class_map=class_map) if given else {}
        if asked is None:
            return read
        query = read_images(asked, spec.inference.inference_input_type, name="query")
        if isinstance(class_map, Mapping):
            names = {pid: class_map.get(folder, folder) for pid, folder in query.classes.items()}
            query = replace(query, classes=names)
        return {"query": numbered_like(query, read["gallery"]) if read else query, **read}

    def require_labelled(self, subset: Subset) -> None:
        """Nothing: a folder without classes is not read at all."""

    def require_trainable(self, spec: MlRecogSpec, train: Subset, *, action: str) -> None:
        """Two classes in a batch, of all processes together; a check of data does not mind TAO's default of one."""
        smallest = 2 * spec.num_instances if action == "dataset" else 0
        require_trainable(
            train,
            batch_size=max(spec.batch_size, smallest),
            num_instances=spec.num_instances,
            batch_key=spec.names["batch_size"],
            batch_share=spec.batch_share,
            gpus=spec.gpus,
        )

    def require_evaluable(self, query: Subset, gallery: Subset) -> None:
        """A reference of each class that is asked for."""
        require_referenced(query, gallery)

    def figures(
        self, spec: MlRecogSpec, ranking: Ranking, query: Embeddings, gallery: Embeddings, classes: Mapping[int, str]
    ) -> dict[str, float]:
        """TAO's figures, under its names; the weakest classes are logged."""
        if spec.train.report_accuracy_per_class and (
            weakest := class_table(ranking, query, gallery, classes).weakest(_WEAKEST)
        ):
            log.info("classes with the lowest precision at rank 1: %s", weakest)
        clusters = cluster_agreement(query, l2_normalise=spec.evaluate.l2_normalise, seed=max(spec.train.seed, 0))
        average = _average(spec.train.report_accuracy_per_class)
        return measure_recognition(ranking, query, average=average, clusters=clusters).figures("val")

    def recognition(
        self, spec: MlRecogSpec, ranking: Ranking, query: Embeddings, gallery: Embeddings, classes: Mapping[int, str]
    ) -> Recognition:
        """TAO's figures, each class by itself, and the limit for "none of these"."""
        return evaluate_recognition(
            ranking,
            query,
            gallery,
            classes,
            average=_average(spec.evaluate.report_accuracy_per_class),
            topk=spec.evaluate.topk,
            l2_normalise=spec.evaluate.l2_normalise,
            seed=max(spec.train.seed, 0),
            memory_bytes=spec.evaluate.memory_bytes,
        )

    def places_to_embed(self, spec: MlRecogSpec) -> dict[str, Place]:
        """The images to recognise, and the references unless a gallery file has them embedded already."""
        places = spec.test_places("inference")
        if not places["query"][1]:
            raise SpecError(
                f"{places['query'][0]} is not set",
                "there is no image to recognise",
                f"add {places['query'][0]}=PLACE: an image, a folder or an archive of images, or a URI to one",
            )
        if spec.inference.gallery:
            _require_gallery(Path(spec.inference.gallery))
            return {"query": places["query"]}
        if not places["gallery"][1]:
            raise SpecError(
                f"neither {places['gallery'][0]} nor inference.gallery is set",
                "an image is recognised by the nearest of some references",
                f"give class folders with {places['gallery'][0]}=PLACE, or a gallery file of `reid enroll` with "
                "inference.gallery=FILE",
            )
        return places

    def answering(self, spec: MlRecogSpec, made_by: Mapping[str, Any], subsets: Mapping[str, Subset]) -> Answering:
        """TAO's result.csv, by references that are embedded along or stand in a gallery file, and the embeddings."""
        threshold = _threshold(spec, made_by)
        enrolled = _gallery_file(spec, made_by) if spec.inference.gallery else None
        count = len(subsets["gallery"].records if enrolled is None else enrolled)
        if spec.inference.topk > count:
            raise SpecError(
                f"inference.topk is {spec.inference.topk}, and there are {count} references",
                "each answer is the class of one reference",
                f"set inference.topk={count} or less, or give more references",
            )
        return partial(_answer, spec, enrolled, threshold)

    def training(self) -> TrainingRecipe[MlRecogSpec]:
        """Trunk and embedder on mined triplets."""
        from reid.actions.recipes.recognition_training import RecognitionTraining

        return RecognitionTraining()


def _average(per_class: bool) -> Average:
    return "classes" if per_class else "queries"


def _require_gallery(path: Path) -> None:
    """Refuses a missing file of references before any image is embedded."""
    if not path.is_file():
        raise SpecError(
            f"inference.gallery={path}: there is no such file",
            "an image is recognised by the nearest of the references in it",
            f"check the path, or make the file: reid enroll --gallery {path} --checkpoint FILE FOLDER...",
        )


def _answer(
    spec: MlRecogSpec, enrolled: References | None, threshold: float | None, inputs: Inputs, folder: Path
) -> Answers:
    asked, output, table = inputs.side("query"), Path(spec.inference.output_file), folder / TABLE
    references = _embedded_references(inputs.side("gallery")) if enrolled is None else enrolled
    recognised = recognise(
        asked.vectors,
        references.embeddings,
        topk=spec.inference.topk,
        threshold=threshold,
        l2_normalise=spec.evaluate.l2_normalise,
        memory_bytes=spec.evaluate.memory_bytes,
    )
    write_result_csv(output, asked.paths, recognised, references.classes)
    write_embeddings_table(
        table, inputs.images, inputs.records, inputs.vectors, names=_names(inputs), made_by=inputs.made_by
    )
    figures: dict[str, float | int] = {
        "images": len(asked.images),
        "references": len(references),
        "classes": len(references.classes),
        "none_of_these": recognised.num_unknown,
        **({} if threshold is None else {"threshold": threshold}),
    }
    return Answers({"inference": output, "embeddings": table}, ("inference", "embeddings"), figures)


def _embedded_references(gallery: Inputs) -> References:
    return References.of(gallery.vectors, _names(gallery), gallery.paths, gallery.made_by)


def _gallery_file(spec: MlRecogSpec, made_by: Mapping[str, Any]) -> References:
    path = Path(spec.inference.gallery)
    references = read_gallery_references(path)
    theirs = references.made_by.get("checkpoint_sha256")
    if theirs != made_by["checkpoint_sha256"]:
        raise CheckpointError(
            f"inference.gallery={path} was embedded by the checkpoint {str(theirs)[:12]}, and these images by "
            f"{made_by['checkpoint_sha256'][:12]} ({made_by['checkpoint']})",
            "distances between embeddings of two networks mean nothing",
            f"set inference.checkpoint={references.made_by.get('checkpoint', 'FILE')}, or enroll the references again "
            "with the other one",
        )
    return references


def _names(inputs: Inputs) -> list[str]:
    """The class of each image; empty where it has none."""
    classes = {name: subset.classes for name, subset in inputs.subsets.items()}
    return [
        classes[name][record.pid] if record else ""
        for (name, _), record in zip(inputs.images, inputs.records, strict=True)
    ]


def _threshold(spec: MlRecogSpec, made_by: Mapping[str, Any]) -> float | None:
    """The distance from which on an image shows none of the classes; None where every image gets one.

    Raises:
        DataError: the evaluation that is named has no such limit.
        CheckpointError: it was measured with another network or another distance.
    """
    own = spec.inference
    if own.threshold is not None or not own.evaluation:
        return own.threshold
    path = Path(own.evaluation)
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        limit, distance = float(metrics["open_set"]["threshold"]), metrics["protocol"]["distance"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"inference.evaluation={path} names no limit of an open set ({type(error).__name__})",
            "it is the metrics.json of an ml_recog evaluation whose queries are no references themselves",
            "run evaluate with evaluate.exclude=none and give its metrics.json, or set inference.threshold",
        ) from error
    measured, here = metrics.get("checkpoint_sha256"), made_by["checkpoint_sha256"]
    if measured != here:
        raise CheckpointError(
            f"inference.evaluation={path} is of the checkpoint {str(measured)[:12]}, and these images are embedded by "
            f"{here[:12]} ({made_by['checkpoint']})",
            "a distance means nothing between embeddings of another network",
            "evaluate this checkpoint and give its metrics.json, or set inference.threshold",
        )
    expected = euclidean_name(l2_normalise=spec.evaluate.l2_normalise)
    if distance != expected:
        raise CheckpointError(
            f"the limit in inference.evaluation={path} is of the distance {distance}, and images are compared by "
            f"{expected}",
            "the two are on different scales",
            "evaluate with the same evaluate.l2_normalise and without re-ranking, or set inference.threshold",
        )
    return limit
