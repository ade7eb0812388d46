"""How a recognition network is trained: the settings that its spec means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.actions.recipes.training import TrainingRecipe, colour_jitter, schedule_of, wants_imagenet
from reid.data.augment import Augmentation
from reid.data.blur import GaussianBlur
from reid.data.images import Preprocess
from reid.data.records import Record, Subset
from reid.data.resampling import ResizedCrop
from reid.model.losses import ReidCriterion
from reid.model.network import Part, ReidNetwork
from reid.model.parts import PartSettings, part_groups, part_lrs
from reid.model.schedule import Schedule
from reid.model.settings import NV_DINOV2, NetworkSettings
from reid.model.weights.loading import load_imagenet
from reid.model.weights.location import label_of, weights_file
from reid.model.weights.recognition import WeightFile, load_parts
from reid.spec.ml_recog import MlRecogSpec
from reid.spec.ml_recog.training import PartSpec

HALF_TURN = 180.0
"""Most degrees of dataset.random_rotation; TAO's number."""


class RecognitionTraining(TrainingRecipe[MlRecogSpec]):
    """Trunk and embedder, on triplets that are mined in each batch."""

    resize = 1.14  # TAO's number

    def training_preprocess(self, spec: MlRecogSpec) -> Preprocess:
        """The whole of the resized image, out of which each epoch cuts another part."""
        return self.preprocess(spec).uncropped

    def network(self, spec: MlRecogSpec, *, num_classes: int) -> NetworkSettings:
        """A plain trunk, and a linear embedder; the residual one where TAO has it."""
        model = spec.model
        return NetworkSettings(
            backbone=model.backbone,
            num_classes=num_classes,
            input_height=model.input_height,
            input_width=model.input_width,
            feat_dim=model.feat_dim,
            embedder="residual" if model.backbone == NV_DINOV2 else "linear",
            last_stride=2,
            stem_relu=True,
            neck="",
            neck_feat="before",
            id_loss_type="none",
        )

    def network_for(self, spec: MlRecogSpec, train_set: Subset) -> NetworkSettings:
        """The same whatever the images: a class leaves no trace in the network."""
        return self.network(spec, num_classes=len(train_set.pids))

    def initial_weights(self, spec: MlRecogSpec, network: ReidNetwork, *, cache_dir: Path) -> dict[str, Any]:
        """The files of trunk, embedder and whole network; ImageNet's in a trunk that none of them gives weights."""
        keys = {
            "trunk": "model.pretrained_trunk_path",
            "embedder": "model.pretrained_embedder_path",
            "whole": "model.pretrained_model_path",
        }
        files = {
            part: WeightFile(weights_file(place, cache_dir=cache_dir, key=key), label_of(place))
            for part, key in keys.items()
            if (place := spec.value(key))
        }
        reports = {"trunk": load_imagenet(network)} if wants_imagenet(spec) else {}
        reports |= load_parts(network, **files, encryption_key=spec.encryption_key)
        return {part: report.to_dict() for part, report in reports.items()}

    def criterion(self, spec: MlRecogSpec, *, num_classes: int, dim: int, seed: int) -> ReidCriterion:
        """The triplet loss on multi-similarity pairs."""
        optim = spec.train.optim
        return ReidCriterion(
            combination="triplet",
            label_smoothing=0.0,
            margin=optim.triplet_loss_margin,
            mining="multi_similarity",
            miner_margin=optim.miner_function_margin,
            smooth_loss=spec.train.smooth_loss,
        )

    def augmentation(self, spec: MlRecogSpec) -> Augmentation:
        """A resized crop, flip, rotation, colours, blur and erasing; erased rectangles take the mean."""
        dataset = spec.dataset
        blur = dataset.gaussian_blur
        return Augmentation(
            flip_prob=dataset.prob,
            padding=0,
            erase_prob=dataset.re_prob,
            erase_mode="mean",
            mean=dataset.pixel_mean,
            std=dataset.pixel_std,
            colour=colour_jitter(dataset.color_augmentation),
            resized_crop=ResizedCrop(
                spec.model.input_height, spec.model.input_width, scale=(dataset.min_crop_area, 1.0)
            ),
            rotation=HALF_TURN if dataset.random_rotation else 0.0,
            blur=GaussianBlur(blur.kernel, blur.sigma) if blur.enabled else None,
        )

    def schedule(self, spec: MlRecogSpec) -> Schedule:
        """Warm-up, then steps."""
        optim = spec.train.optim
        return schedule_of(spec, method=optim.warmup_method, milestones=optim.steps)

    def groups(self, spec: MlRecogSpec, network: ReidNetwork) -> list[dict[str, Any]]:
        """Trunk and embedder, each by its own block of train.optim."""
        return part_groups(network, _parts(spec))

    def rates(self, spec: MlRecogSpec) -> tuple[float, float]:
        """Those of the trunk."""
        return spec.train.optim.trunk.base_lr, spec.train.optim.trunk.momentum

    def part_lrs(self, spec: MlRecogSpec) -> Mapping[Part, float]:
        """Of trunk and embedder."""
        return part_lrs(_parts(spec))

    def balanced_cameras(self, spec: MlRecogSpec, records: Sequence[Record]) -> list[int] | None:
        """There are no cameras."""
        return None


def _parts(spec: MlRecogSpec) -> dict[Part, PartSettings]:
    train = spec.train
    return {
        "trunk": _part(train.optim.trunk, trained=train.train_trunk),
        "embedder": _part(train.optim.embedder, trained=train.train_embedder),
    }


def _part(own: PartSpec, *, trained: bool) -> PartSettings:
    return PartSettings(
        base_lr=own.base_lr,
        bias_lr_factor=own.bias_lr_factor,
        momentum=own.momentum,
        weight_decay=own.weight_decay,
        weight_decay_bias=own.weight_decay_bias,
        trained=trained,
    )
