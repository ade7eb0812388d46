"""The whole `re_identification` spec: TAO's blocks and ours, every key typed, bounded and described."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

from reid.errors import SpecError
from reid.spec.base import Section, key
from reid.spec.data import DatasetSpec, ReRankingSpec
from reid.spec.network import ModelSpec
from reid.spec.steps import EvaluateSpec, ExportSpec, InferenceSpec, PromoteSpec, RegisterSpec, SelectSpec
from reid.spec.tracking import MlflowSpec, WandbSpec
from reid.spec.training import TrainSpec

with warnings.catch_warnings():
    # `register` is also a method of every abstract class; nobody registers subclasses of a spec.
    warnings.filterwarnings("ignore", message='Field name "register"', category=UserWarning)

    class ReIdentificationSpec(Section):
        """Person re-identification: everything a run can be told."""

        model_name: str = key(
            "", "A label for the experiment.", no_effect="kept in the resolved spec, read by no action"
        )
        encryption_key: str = key(
            "", "Passphrase that encrypts the checkpoints of train and opens them again; empty: plain files."
        )
        results_dir: str = key("", "Folder that holds one folder of results for each action.")
        device: Literal["auto", "cpu", "cuda", "mps"] = key(
            "auto", "Where networks run; auto takes a GPU when there is one.", ours=True
        )
        cpu_threads: int = key(
            0,
            "Threads of a network on a CPU; 0: as many as cores. Small networks gain little from more than one, and "
            "lose much when other programs want the cores.",
            ge=0,
            ours=True,
        )
        embedding_engine: Literal["auto", "torch", "onnxruntime"] = key(
            "auto",
            "What computes embeddings in evaluate and inference: auto takes onnxruntime on a CPU when there are enough "
            "images to pay for the conversion, and torch elsewhere.",
            ours=True,
        )
        automl_policy: Literal["on", "off"] = key(
            "off",
            "TAO's switch of the hyper-parameter search.",
            ours=True,
            no_effect="this release has no hyper-parameter search: every training is a plain one",
        )
        wandb: WandbSpec = WandbSpec()
        model: ModelSpec = ModelSpec()
        dataset: DatasetSpec = DatasetSpec()
        train: TrainSpec = TrainSpec()
        select: SelectSpec = SelectSpec()
        evaluate: EvaluateSpec = EvaluateSpec()
        inference: InferenceSpec = InferenceSpec()
        export: ExportSpec = ExportSpec()
        register: RegisterSpec = RegisterSpec()
        promote: PromoteSpec = PromoteSpec()
        re_ranking: ReRankingSpec = ReRankingSpec()
        mlflow: MlflowSpec = MlflowSpec()

        def results_folder(self, action: str) -> Path:
            """Where an action writes: `<action>.results_dir`, else `<results_dir>/<action>`.

            Raises:
                SpecError: neither is set.
            """
            own = getattr(getattr(self, action, None), "results_dir", "")
            if own:
                return Path(own)
            if self.results_dir:
                return Path(self.results_dir) / action
            raise SpecError(
                f"there is no folder for the results of {action}: results_dir is not set",
                "every action writes its results to <results_dir>/<action>",
                "set results_dir in the spec, or add results_dir=results to the command",
            )
