"""The table of recipes: one for each family of specs."""

from __future__ import annotations

from typing import Any

from reid.actions.recipes.base import Recipe
from reid.actions.recipes.person import PersonRecipe
from reid.actions.recipes.recognition import RecognitionRecipe
from reid.spec.experiment import ExperimentSpec

RECIPES: dict[str, Recipe[Any]] = {"re_identification": PersonRecipe(), "ml_recog": RecognitionRecipe()}
"""By the `family` of a spec."""


def recipe_of(spec: ExperimentSpec) -> Recipe[Any]:
    """The recipe of a spec's family."""
    return RECIPES[spec.family]
