"""What a family trains, and with what: the part of its recipe that needs torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from reid.data.augment import Augmentation
from reid.data.colour import ColourJitter
from reid.data.fetch import scheme_of
from reid.data.images import Preprocess
from reid.data.records import Record, Subset
from reid.errors import SpecError
from reid.model.backbone import build_backbone, require_known
from reid.model.losses import ReidCriterion
from reid.model.network import Part, ReidNetwork, is_transformer
from reid.model.schedule import Schedule
from reid.model.settings import NetworkSettings
from reid.model.weights.loading import require_imagenet
from reid.model.weights.location import weights_file
from reid.spec.data import ColorAugmentationSpec
from reid.spec.experiment import ExperimentSpec

S = TypeVar("S", bound=ExperimentSpec)


class TrainingRecipe(ABC, Generic[S]):
    """Sections of a family's spec as the plain settings that the training engine takes.

    Attributes:
        resize: images are resized to this multiple of the input size, of which the network gets the middle.
    """

    resize: ClassVar[float] = 1.0

    def preprocess(self, spec: S) -> Preprocess:
        """How images become network input: bicubic for transformers, bilinear for the others, as TAO has it."""
        return Preprocess(
            height=spec.model.input_height,
            width=spec.model.input_width,
            interpolation="bicubic" if is_transformer(spec.model.backbone) else "bilinear",
            mean=spec.dataset.pixel_mean,
            std=spec.dataset.pixel_std,
            resize=self.resize,
        )

    def training_preprocess(self, spec: S) -> Preprocess:
        """How images are kept for training, before the augmentation; the same unless a family says otherwise."""
        return self.preprocess(spec)

    @abstractmethod
    def network(self, spec: S, *, num_classes: int) -> NetworkSettings:
        """The network that the `model` section describes, apart from what only training images tell."""

    @abstractmethod
    def network_for(self, spec: S, train_set: Subset) -> NetworkSettings:
        """The network for some training images.

        Raises:
            DataError: it asks for something that the images do not have.
        """

    def require_possible(self, spec: S, *, fresh: bool) -> None:
        """Refuses a network or initial weights that no images can make possible.

        Args:
            spec: of the training.
            fresh: whether it will begin from initial weights rather than go on from a checkpoint.

        Raises:
            SpecError: there is no such network, it has no patches where something is asked of them, no file of weights
                is named, or the one that is named is not there.
            CheckpointError: nobody has ImageNet weights of that network.
        """
        settings = self.network(spec, num_classes=1)
        require_known(settings.backbone)
        if settings.asked_of_patches:
            build_backbone(settings)
        if not fresh:
            return
        files = {f"model.{name}": str(place) for name, place in spec.model if name.startswith("pretrained_") and place}
        for key, place in files.items():
            if not scheme_of(place):
                weights_file(place, cache_dir=Path(), key=key)
        if wants_imagenet(spec):
            require_imagenet(settings.backbone)

    @abstractmethod
    def initial_weights(self, spec: S, network: ReidNetwork, *, cache_dir: Path) -> dict[str, Any]:
        """Fills a network with the weights that the spec names.

        Returns:
            What was taken and what was not, plain; empty where the network starts from random weights.

        Raises:
            SpecError: the spec contradicts itself.
            CheckpointError: the weights cannot be had or do not fit.
        """

    @abstractmethod
    def criterion(self, spec: S, *, num_classes: int, dim: int, seed: int) -> ReidCriterion:
        """The losses."""

    @abstractmethod
    def augmentation(self, spec: S) -> Augmentation:
        """How training batches are changed."""

    @abstractmethod
    def schedule(self, spec: S) -> Schedule:
        """The course of the learning rate."""

    @abstractmethod
    def groups(self, spec: S, network: ReidNetwork) -> list[dict[str, Any]]:
        """The parameters that learn, in groups of one rate and decay."""

    @abstractmethod
    def rates(self, spec: S) -> tuple[float, float]:
        """The base learning rate that is reported, and the momentum of SGD for groups without one of their own."""

    def part_lrs(self, spec: S) -> Mapping[Part, float]:
        """The base learning rate of each part of the network that is reported by itself."""
        return {}

    @abstractmethod
    def balanced_cameras(self, spec: S, records: Sequence[Record]) -> list[int] | None:
        """The camera of each training image where batches shall be balanced over them; None where not."""


def colour_jitter(section: ColorAugmentationSpec) -> ColourJitter | None:
    """The jitter that `dataset.color_augmentation` describes; None where it is off."""
    if not section.enabled:
        return None
    return ColourJitter(
        brightness=section.brightness, contrast=section.contrast, saturation=section.saturation, hue=section.hue
    )


def schedule_of(
    spec: ExperimentSpec,
    *,
    method: Literal["linear", "constant", "cosine"],
    milestones: tuple[int, ...],
    warmup_epochs: int = 0,
) -> Schedule:
    """The course of the learning rate.

    Args:
        spec: the keys that both families have.
        method: how it starts, or one cosine.
        milestones: epochs, counted from 1, from which on it is multiplied by gamma once more.
        warmup_epochs: of the cosine.
    """
    optim = spec.train.optim
    return Schedule(
        method=method,
        num_epochs=spec.train.num_epochs,
        warmup_epochs=warmup_epochs,
        warmup_iters=optim.warmup_iters,
        warmup_factor=optim.warmup_factor,
        warmup_steps=optim.warmup_steps,
        milestones=milestones,
        gamma=optim.gamma,
    )


def wants_imagenet(spec: ExperimentSpec) -> bool:
    """Whether the backbone starts from ImageNet's weights: no file fills it, and `model.pretrain_choice` says so.

    Raises:
        SpecError: no file fills it, and the choice is self.
    """
    if spec.backbone_files:
        return False
    if spec.model.pretrain_choice == "self":
        raise SpecError(
            f"model.pretrain_choice=self, and {' and '.join(spec.backbone_keys)} "
            f"{'is' if len(spec.backbone_keys) == 1 else 'are'} not set",
            "there are no weights to start from, and random ones instead would be a different experiment without "
            "saying so",
            "give a file with model.pretrained_model_path=FILE, or ask for random weights with "
            'model.pretrain_choice=""',
        )
    return spec.model.pretrain_choice == "imagenet"
