"""The face of a recipe: what actions ask of a family, apart from the uniform keys of its spec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from reid.data.records import Subset
from reid.spec.experiment import ExperimentSpec

if TYPE_CHECKING:
    from reid.actions.recipes.training import TrainingRecipe

S = TypeVar("S", bound=ExperimentSpec)


class Recipe(ABC, Generic[S]):
    """What one family does otherwise than another. It loads neither torch nor anything else that is heavy."""

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
    def require_trainable(self, spec: S, train: Subset) -> None:
        """Refuses training images that cannot fill one batch.

        Raises:
            DataError: there are too few identities or classes.
        """

    @abstractmethod
    def require_evaluable(self, query: Subset, gallery: Subset) -> None:
        """Refuses a test set on which no figure would mean anything.

        Raises:
            DataError: queries have no match.
        """

    @abstractmethod
    def training(self) -> TrainingRecipe[S]:
        """What it trains and with what; this loads torch."""
