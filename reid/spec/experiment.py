"""The part of a spec that both families share, and the one face by which actions read what stands elsewhere in each."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from reid.errors import SpecError
from reid.spec.base import Section, key
from reid.spec.data import ImagesSpec, ReRankingSpec
from reid.spec.network import NetworkSpec
from reid.spec.steps import EmbeddingSpec, ExportSpec, MeasuringSpec, PromoteSpec, RegisterSpec, SelectSpec
from reid.spec.tracking import MlflowSpec, WandbSpec
from reid.spec.training import TrainingSpec

Place = tuple[str, str]
"""A key, for messages, and the folder, archive or URI that it holds; the place is empty where it is not set."""

with warnings.catch_warnings():
    # `register` is also a method of every abstract class; nobody registers subclasses of a spec.
    warnings.filterwarnings("ignore", message='Field name "register"', category=UserWarning)

    class ExperimentSpec(Section):
        """Everything a run can be told, whatever its family.

        Attributes:
            names: the dotted key of this family for each of the properties below, and for "train", "query" and
                "gallery", the places of images; for reading and for messages.
            title: what TAO's status lines call the family.
            noun, nouns: what the images of one label show, in one word: an identity, a class.
            backbone_keys: the keys of files whose weights the backbone starts from.
        """

        names: ClassVar[Mapping[str, str]]
        title: ClassVar[str]
        noun: ClassVar[str]
        nouns: ClassVar[str]
        backbone_keys: ClassVar[tuple[str, ...]] = ("model.pretrained_model_path",)

        family: str = key(
            "", "What the spec is for: re_identification or ml_recog; decides which keys there are.", ours=True
        )
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
        model: NetworkSpec
        dataset: ImagesSpec
        train: TrainingSpec
        select: SelectSpec = SelectSpec()
        evaluate: MeasuringSpec
        inference: EmbeddingSpec
        export: ExportSpec = ExportSpec()
        register: RegisterSpec = RegisterSpec()
        promote: PromoteSpec
        re_ranking: ReRankingSpec = ReRankingSpec()
        mlflow: MlflowSpec = MlflowSpec()

        def value(self, path: str) -> Any:
            """The value of a dotted key.

            Raises:
                AttributeError: this family has no such key.
            """
            found: Any = self
            for name in path.split("."):
                found = getattr(found, name)
            return found

        def is_given(self, path: str) -> bool:
            """Whether a dotted key was set, be it to its default."""
            section, _, name = path.rpartition(".")
            found: Section = self.value(section) if section else self
            return name in found.model_fields_set

        @property
        def gpus(self) -> int:
            """Processes of a training: its GPUs on all machines."""
            return self.train.num_gpus * self.train.num_nodes

        @property
        def batch_size(self) -> int:
            """Training images in a batch, those of all processes together."""
            return int(self.value(self.names["batch_size"]))

        @property
        def batch_share(self) -> int:
            """How many times the number that the key of `batch_size` holds a batch is: where it counts each process."""
            return self.batch_size // int(self.value(self.names["batch_size"]))

        @property
        def num_instances(self) -> int:
            """Training images of each identity in a batch (K)."""
            return int(self.value(self.names["num_instances"]))

        @property
        def val_batch_size(self) -> int:
            """Images in a batch of validation."""
            return int(self.value(self.names["val_batch_size"]))

        @property
        def workers(self) -> int:
            """Threads that check and decode images; 0 is 1."""
            return int(self.value(self.names["workers"]))

        @property
        def listed(self) -> int:
            """Nearest gallery images of a query that evaluation shows."""
            return self.re_ranking.max_rank

        @property
        def grad_clip(self) -> float:
            """Largest L2 norm of the gradient; 0 leaves gradients as they are."""
            return float(self.value(self.names["grad_clip"]))

        @property
        def compares_identities(self) -> bool:
            """Whether the losses need images of several identities in a batch."""
            return True

        @property
        def backbone_files(self) -> tuple[Place, ...]:
            """Key and place of each file whose weights the backbone starts from; empty where none is set."""
            return tuple((path, str(self.value(path))) for path in self.backbone_keys if self.value(path))

        @property
        def train_place(self) -> Place:
            """Where the training images are."""
            return self._place("train")

        @property
        def dataset_places(self) -> dict[str, Place]:
            """Where the `dataset` section says that "train", "query" and "gallery" images are."""
            return {"train": self.train_place, **self.test_places("dataset")}

        @property
        @abstractmethod
        def more_train_places(self) -> tuple[Place, ...]:
            """Further sources that are merged with `train_place`."""

        def test_places(self, action: str) -> dict[str, Place]:
            """Where an action's "query" and "gallery" images are; for train and dataset those of validation."""
            return {name: self._place(name) for name in ("query", "gallery")}

        def _with_own(self, places: dict[str, Place], action: str, own: Mapping[str, str]) -> dict[str, Place]:
            """Places, but those of keys of the action's own block where such a key is set, or where none is.

            Args:
                places: of "query" and "gallery".
                action: whose block.
                own: the name of the key in it, for "query" and "gallery".
            """
            block = getattr(self, action)
            mine = {name: (f"{action}.{key}", getattr(block, key)) for name, key in own.items()}
            return {name: mine[name] if mine[name][1] or not place[1] else place for name, place in places.items()}

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

        def _place(self, name: str) -> Place:
            path = self.names[name]
            return path, str(self.value(path))
