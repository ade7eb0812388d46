"""The whole `ml_recog` spec: TAO's blocks and ours, every key typed, bounded and described."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import ClassVar, Literal

from reid.spec.base import like
from reid.spec.experiment import ExperimentSpec, Place
from reid.spec.ml_recog.data import DatasetSpec
from reid.spec.ml_recog.engine import GenTrtEngineSpec
from reid.spec.ml_recog.network import ModelSpec
from reid.spec.ml_recog.steps import EvaluateSpec, InferenceSpec, RecognitionExportSpec, RecognitionPromoteSpec
from reid.spec.ml_recog.training import TrainSpec
from reid.spec.steps import RegisterSpec
from reid.spec.tracking import MlflowSpec


class RecognitionMlflowSpec(MlflowSpec):
    """Tracking of runs and the model registry, apart from those of re_identification."""

    experiment: str = like(MlflowSpec, "experiment", default="ml_recog")
    model_name: str = like(MlflowSpec, "model_name", default="ml_recog")


with warnings.catch_warnings():
    # As in ExperimentSpec. The field is repeated because the inherited one would be taken for the method.
    warnings.filterwarnings("ignore", message='Field name "register"', category=UserWarning)

    class MlRecogSpec(ExperimentSpec):
        """Metric-learning recognition: everything a run can be told."""

        names: ClassVar = MappingProxyType(
            {
                "train": "dataset.train_dataset",
                "query": "dataset.val_dataset.query",
                "gallery": "dataset.val_dataset.reference",
                "batch_size": "train.batch_size",
                "num_instances": "dataset.num_instance",
                "val_batch_size": "train.val_batch_size",
                "workers": "dataset.workers",
                "grad_clip": "train.clip_grad_norm",
            }
        )

        title: ClassVar = "Metric Learning Recognition"
        noun: ClassVar = "class"
        nouns: ClassVar = "classes"
        backbone_keys: ClassVar = ("model.pretrained_trunk_path", "model.pretrained_model_path")

        family: Literal["ml_recog"] = like(ExperimentSpec, "family", default="ml_recog")
        model: ModelSpec = ModelSpec()
        dataset: DatasetSpec = DatasetSpec()
        train: TrainSpec = TrainSpec()
        evaluate: EvaluateSpec = EvaluateSpec()
        inference: InferenceSpec = InferenceSpec()
        register: RegisterSpec = RegisterSpec()
        export: RecognitionExportSpec = RecognitionExportSpec()
        promote: RecognitionPromoteSpec = RecognitionPromoteSpec()
        mlflow: RecognitionMlflowSpec = RecognitionMlflowSpec()
        gen_trt_engine: GenTrtEngineSpec = GenTrtEngineSpec()

        @property
        def batch_size(self) -> int:
            """Training images in a batch, those of all processes together: train.batch_size is that of each GPU."""
            return self.train.batch_size * self.gpus

        @property
        def listed(self) -> int:
            """Nearest references of a query that evaluation shows, in pictures or in result.csv."""
            return max(self.re_ranking.max_rank, self.evaluate.topk)

        @property
        def more_train_places(self) -> tuple[Place, ...]:
            """None: there is one source of training images."""
            return ()

        def test_places(self, action: str) -> dict[str, Place]:
            """Those of dataset.val_dataset, but an evaluation's own where set; inference asks with its input_path."""
            places = super().test_places(action)
            if action == "inference":
                places["query"] = ("inference.input_path", self.inference.input_path)
            if action == "evaluate":
                places = self._with_own(places, action, {"query": "query_dataset", "gallery": "reference_dataset"})
            return places
