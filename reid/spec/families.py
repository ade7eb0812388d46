"""The families of specs: what each is called, its class, and what TAO's files say of it. Everything else reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reid.spec.experiment import ExperimentSpec
from reid.spec.ml_recog import MlRecogSpec
from reid.spec.ml_recog import aliases as ml_recog_aliases
from reid.spec.ml_recog import skill as ml_recog_skill
from reid.spec.re_identification import ReIdentificationSpec
from reid.spec.re_identification import aliases as re_identification_aliases
from reid.spec.re_identification import skill as re_identification_skill

RE_IDENTIFICATION = "re_identification"
ML_RECOG = "ml_recog"


@dataclass(frozen=True)
class Family:
    """One family of specs.

    Attributes:
        name: value of the key `family`, name of the command, and TAO's `network_arch`.
        spec: the class of its specs.
        model: TAO's name of the model in manifests and skills.
        page: the page of the documents with all keys.
        shorthands: root keys that are read as a key of a block.
        renamed_keys: other names of keys.
        renamed_roots: other names of blocks.
        subsets: for each of TAO's actions, the keys that take images and the archives that TAO's skill has there.
        hand_over: for each of TAO's actions, the keys that its services fill, and what with.
    """

    name: str
    spec: type[ExperimentSpec]
    model: str
    page: str
    shorthands: Mapping[str, str]
    renamed_keys: Mapping[str, str]
    renamed_roots: Mapping[str, str]
    subsets: Mapping[str, Mapping[str, str]]
    hand_over: Mapping[str, Mapping[str, str]]


FAMILIES = {
    RE_IDENTIFICATION: Family(
        name=RE_IDENTIFICATION,
        spec=ReIdentificationSpec,
        model="re-identification",
        page="docs/spec.md",
        shorthands=re_identification_aliases.SHORTHANDS,
        renamed_keys=re_identification_aliases.RENAMED_KEYS,
        renamed_roots=re_identification_aliases.RENAMED_ROOTS,
        subsets=re_identification_skill.SUBSETS,
        hand_over=re_identification_skill.HAND_OVER,
    ),
    ML_RECOG: Family(
        name=ML_RECOG,
        spec=MlRecogSpec,
        model="metric-learning-recognition",
        page="docs/spec-ml-recog.md",
        shorthands=ml_recog_aliases.SHORTHANDS,
        renamed_keys=ml_recog_aliases.RENAMED_KEYS,
        renamed_roots=ml_recog_aliases.RENAMED_ROOTS,
        subsets=ml_recog_skill.SUBSETS,
        hand_over=ml_recog_skill.HAND_OVER,
    ),
}
