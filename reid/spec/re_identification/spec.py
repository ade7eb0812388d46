"""The whole `re_identification` spec: TAO's blocks and ours, every key typed, bounded and described."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import ClassVar, Literal

from reid.spec.base import like
from reid.spec.experiment import ExperimentSpec, Place
from reid.spec.re_identification.data import DatasetSpec
from reid.spec.re_identification.network import ModelSpec
from reid.spec.re_identification.steps import EvaluateSpec, InferenceSpec, RetrievalPromoteSpec
from reid.spec.re_identification.training import TrainSpec
from reid.spec.steps import RegisterSpec

with warnings.catch_warnings():
    # As in ExperimentSpec. The field is repeated because the inherited one would be taken for the method.
    warnings.filterwarnings("ignore", message='Field name "register"', category=UserWarning)

    class ReIdentificationSpec(ExperimentSpec):
        """Person re-identification: everything a run can be told."""

        names: ClassVar = MappingProxyType(
            {
                "train": "dataset.train_dataset_dir",
                "more_train": "dataset.more_train_dataset_dirs",
                "query": "dataset.query_dataset_dir",
                "gallery": "dataset.test_dataset_dir",
                "batch_size": "dataset.batch_size",
                "num_instances": "dataset.num_instances",
                "val_batch_size": "dataset.val_batch_size",
                "workers": "dataset.num_workers",
                "grad_clip": "train.grad_clip",
            }
        )

        title: ClassVar = "ReIdentification"
        noun: ClassVar = "identity"
        nouns: ClassVar = "identities"

        family: Literal["re_identification"] = like(ExperimentSpec, "family", default="re_identification")
        model: ModelSpec = ModelSpec()
        dataset: DatasetSpec = DatasetSpec()
        train: TrainSpec = TrainSpec()
        evaluate: EvaluateSpec = EvaluateSpec()
        inference: InferenceSpec = InferenceSpec()
        register: RegisterSpec = RegisterSpec()
        promote: RetrievalPromoteSpec = RetrievalPromoteSpec()

        @property
        def recursive(self) -> bool:
            """As dataset.recursive says."""
            return self.dataset.recursive

        @property
        def camera_balanced(self) -> bool:
            """As dataset.camera_balanced says."""
            return self.dataset.camera_balanced

        @property
        def compares_identities(self) -> bool:
            """Whether there is a loss beside that of the classifier."""
            return self.dataset.sampler != "softmax"

        @property
        def more_train_places(self) -> tuple[Place, ...]:
            """Key and place of each of dataset.more_train_dataset_dirs."""
            return tuple((self.names["more_train"], place) for place in self.dataset.more_train_dataset_dirs)

        def test_places(self, action: str) -> dict[str, Place]:
            """The action's own places, else those of `dataset`; never another action's."""
            places = super().test_places(action)
            if action not in ("evaluate", "inference"):
                return places
            return self._with_own(places, action, {"query": "query_dataset", "gallery": "test_dataset"})
