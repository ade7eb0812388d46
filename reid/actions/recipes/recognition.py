"""Metric-learning recognition: the folder of an image is its class, and the nearest reference names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reid.actions.recipes.base import Recipe
from reid.data.class_folders import read_class_folders
from reid.data.class_map import read_class_map
from reid.data.inputs import read_images
from reid.data.records import Subset
from reid.data.requirements import require_referenced, require_trainable
from reid.spec.ml_recog import MlRecogSpec

if TYPE_CHECKING:
    from reid.actions.recipes.training import TrainingRecipe


class RecognitionRecipe(Recipe[MlRecogSpec]):
    """Class folders, mined triplets, and answers by the nearest reference."""

    def read(self, spec: MlRecogSpec, folders: Mapping[str, Path], *, action: str) -> dict[str, Subset]:
        """Class folders, numbered together; the images that inference shall recognise may have no class."""
        given = dict(folders)
        read = {}
        if action == "inference" and (place := given.pop("query", None)) is not None:
            read["query"] = read_images(place, spec.inference.inference_input_type, name="query")
        class_map = read_class_map(Path(spec.dataset.class_map)) if spec.dataset.class_map else None
        return read | (read_class_folders(given, class_map=class_map) if given else {})

    def require_labelled(self, subset: Subset) -> None:
        """Nothing: a folder without classes is not read at all."""

    def require_trainable(self, spec: MlRecogSpec, train: Subset) -> None:
        """Two classes in a batch of each process."""
        require_trainable(
            train, batch_size=spec.batch_size, num_instances=spec.num_instances, batch_key=spec.names["batch_size"]
        )

    def require_evaluable(self, query: Subset, gallery: Subset) -> None:
        """A reference of each class that is asked for."""
        require_referenced(query, gallery)

    def training(self) -> TrainingRecipe[MlRecogSpec]:
        """Trunk and embedder on mined triplets."""
        from reid.actions.recipes.recognition_training import RecognitionTraining

        return RecognitionTraining()
