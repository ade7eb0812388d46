"""Person re-identification: the names of the files tell who is seen by which camera."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid.actions.inference_files import TABLE, write_embeddings_table, write_inference_json
from reid.actions.recipes.base import Recipe
from reid.actions.recipes.inputs import Answering, Answers, Inputs
from reid.data.readers import read_market1501, require_named
from reid.data.records import Subset
from reid.data.requirements import require_evaluable, require_trainable
from reid.errors import SpecError
from reid.model.selection import LATEST
from reid.spec.experiment import Place
from reid.spec.re_identification import ReIdentificationSpec

if TYPE_CHECKING:
    from reid.actions.recipes.training import TrainingRecipe


class PersonRecipe(Recipe[ReIdentificationSpec]):
    """Market-1501's naming and rules, and bag-of-tricks training."""

    answer_file = "inference.json"
    latest_file = LATEST
    cameras = True

    def read(self, spec: ReIdentificationSpec, folders: Mapping[str, Path], *, action: str) -> dict[str, Subset]:
        """Each folder by itself: a number is the same person in all of them."""
        recursive = spec.dataset.recursive
        return {name: read_market1501(folder, name=name, recursive=recursive) for name, folder in folders.items()}

    def require_labelled(self, subset: Subset) -> None:
        """The rule of the naming."""
        require_named(subset)

    def require_trainable(self, spec: ReIdentificationSpec, train: Subset, *, action: str) -> None:
        """Enough identities for P x K."""
        require_trainable(
            train,
            batch_size=spec.batch_size,
            num_instances=spec.num_instances,
            batch_key=spec.names["batch_size"],
            gpus=spec.gpus,
        )

    def require_evaluable(self, query: Subset, gallery: Subset) -> None:
        """A match by another camera."""
        require_evaluable(query, gallery)

    def places_to_embed(self, spec: ReIdentificationSpec) -> dict[str, Place]:
        """Either side, or both."""
        places = {name: place for name, place in spec.test_places("inference").items() if place[1]}
        if not places:
            raise SpecError(
                "neither inference.query_dataset nor inference.test_dataset is set",
                "there is no image to embed",
                "give at least one of them: a folder, an archive, or a URI to one",
            )
        return places

    def answering(
        self, spec: ReIdentificationSpec, made_by: Mapping[str, Any], subsets: Mapping[str, Subset]
    ) -> Answering:
        """The embeddings themselves, in TAO's JSON and as a table; they need nothing else."""
        return partial(_write, Path(spec.inference.output_file))

    def training(self) -> TrainingRecipe[ReIdentificationSpec]:
        """Bag of tricks, and TransReID where asked for."""
        from reid.actions.recipes.person_training import PersonTraining

        return PersonTraining()


def _write(output: Path, inputs: Inputs, folder: Path) -> Answers:
    table = folder / TABLE
    write_inference_json(output, [path for _, path in inputs.images], inputs.vectors)
    write_embeddings_table(table, inputs.images, inputs.records, inputs.vectors, made_by=inputs.made_by)
    return Answers({"inference": output, "embeddings": table}, ("embeddings",), {})
