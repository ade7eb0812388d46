"""The face of a recipe: what actions ask of a family, apart from the uniform keys of its spec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from reid.actions.recipes.inputs import Answering
from reid.data.records import Subset
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognition_evaluation import Recognition
from reid.spec.experiment import ExperimentSpec, Place

if TYPE_CHECKING:
    from reid.actions.recipes.training import TrainingRecipe

S = TypeVar("S", bound=ExperimentSpec)


class Recipe(ABC, Generic[S]):
    """What one family does otherwise than another. It loads neither torch nor anything else that is heavy.

    Attributes:
        answer_file: name of the file that inference.output_file means when it is not set.
        latest_file: TAO's name of the link to the latest checkpoint.
        cameras: whether an image is of a camera, so that figures by pair of cameras mean something.
    """

    answer_file: ClassVar[str]
    latest_file: ClassVar[str]
    cameras: ClassVar[bool]

    @abstractmethod
    def read(self, spec: S, folders: Mapping[str, Path], *, action: str) -> dict[str, Subset]:
        """The images in some folders, by the name of the subset each is.

        Args:
            spec: of the action.
            folders: for each subset, "train", "query" or "gallery", where it lies.
            action: what they are read for; what inference shall embed needs no label.

        Raises:
            DataError: a folder cannot be read.
        """

    @abstractmethod
    def require_labelled(self, subset: Subset) -> None:
        """Refuses a folder in which no image has a label.

        Raises:
            DataError: it is such a folder.
        """

    @abstractmethod
    def require_trainable(self, spec: S, train: Subset, *, action: str) -> None:
        """Refuses training images that cannot fill one batch; in "dataset", of which no training can be made.

        Raises:
            DataError: there are too few identities or classes.
        """

    @abstractmethod
    def require_evaluable(self, query: Subset, gallery: Subset) -> None:
        """Refuses a test set on which no figure would mean anything.

        Raises:
            DataError: queries have no match.
        """

    def figures(
        self, spec: S, ranking: Ranking, query: Embeddings, gallery: Embeddings, classes: Mapping[int, str]
    ) -> dict[str, float]:
        """What a validation measures beside CMC and mAP, by name; what it finds besides goes to the log."""
        return {}

    def recognition(
        self, spec: S, ranking: Ranking, query: Embeddings, gallery: Embeddings, classes: Mapping[int, str]
    ) -> Recognition | None:
        """What an evaluation measures beside the retrieval of people; None where a family has nothing more."""
        return None

    @abstractmethod
    def places_to_embed(self, spec: S) -> dict[str, Place]:
        """Where the "query" and "gallery" images of inference are, as far as there are any.

        Raises:
            SpecError: none is named that inference could not do without.
        """

    @abstractmethod
    def answering(self, spec: S, made_by: Mapping[str, Any], subsets: Mapping[str, Subset]) -> Answering:
        """Reads and checks, before anything is embedded, what the answers need; gives what writes them.

        Args:
            spec: of the action.
            made_by: what is known of the network.
            subsets: the images that will be embedded.

        Raises:
            SpecError: more is asked for than the references can answer.
            DataError: a file that the spec names cannot be used.
            CheckpointError: it was made with another network.
        """

    @abstractmethod
    def training(self) -> TrainingRecipe[S]:
        """What it trains and with what; this loads torch."""
