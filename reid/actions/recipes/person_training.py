"""How a person re-identification network is trained: the settings that its spec means."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reid.actions.recipes.training import TrainingRecipe, colour_jitter, schedule_of, wants_imagenet
from reid.data.augment import Augmentation
from reid.data.auto_augment import AutoAugment
from reid.data.records import Record, Subset
from reid.errors import DataError
from reid.model.center import CenterLoss
from reid.model.losses import ReidCriterion
from reid.model.network import ReidNetwork, is_transformer
from reid.model.optim import parameter_groups
from reid.model.schedule import Schedule
from reid.model.settings import NetworkSettings
from reid.model.weights.loading import load_file, load_imagenet
from reid.model.weights.location import label_of, weights_file
from reid.spec.re_identification import ReIdentificationSpec

log = logging.getLogger(__name__)

LABEL_SMOOTHING = 0.1
"""Epsilon of the ID loss with model.label_smooth; TAO fixes the same."""


class PersonTraining(TrainingRecipe[ReIdentificationSpec]):
    """Bag of tricks, and TransReID where the spec asks for it."""

    def network(
        self,
        spec: ReIdentificationSpec,
        *,
        num_classes: int,
        cameras: tuple[int, ...] = (),
        views: tuple[int, ...] = (),
    ) -> NetworkSettings:
        """The network that the `model` section describes.

        Args:
            spec: of the network.
            num_classes: training identities.
            cameras: camera numbers of the training; they count only with `model.sie_camera`.
            views: view numbers of the training; they count only with `model.sie_view`.
        """
        model = spec.model
        return NetworkSettings(
            backbone=model.backbone,
            num_classes=num_classes,
            input_height=model.input_height,
            input_width=model.input_width,
            feat_dim=model.feat_dim,
            reduce_feat_dim=model.reduce_feat_dim,
            last_stride=model.last_stride,
            neck=model.neck,
            neck_feat=model.neck_feat,
            gem_pooling=model.gem_pooling,
            with_flip_feature=model.with_flip_feature,
            drop_path=model.drop_path,
            drop_out=model.drop_out,
            att_drop_rate=model.att_drop_rate,
            dropout_rate=model.dropout_rate,
            id_loss_type=model.id_loss_type,
            cosine_margin=spec.train.optim.cosine_margin,
            cosine_scale=spec.train.optim.cosine_scale,
            stride_size=model.stride_size,
            sie_camera=model.sie_camera,
            sie_view=model.sie_view,
            sie_coe=model.sie_coe,
            cameras=cameras if model.sie_camera else (),
            views=views if model.sie_view else (),
            jpm=model.jpm,
            shift_num=model.shift_num,
            shuffle_group=model.shuffle_group,
            devide_length=model.devide_length,
            re_arrange=model.re_arrange,
        )

    def network_for(self, spec: ReIdentificationSpec, train_set: Subset) -> NetworkSettings:
        """The network for the identities of training images, and for their cameras and views where it asks for those.

        Raises:
            DataError: it asks for views, and no image has one.
        """
        settings = self.network(spec, num_classes=len(train_set.pids), cameras=train_set.camids, views=train_set.views)
        if settings.sie_view and not settings.views:
            raise DataError(
                f"model.sie_view=true, and none of the {len(train_set.records)} training images in {train_set.place} "
                "has a view in its name",
                "there would be one embedding, the same for every image",
                "name the images <identity>_c<camera>v<view>_..., such as 0007_c2v1_01.jpg, or set "
                "model.sie_view=false",
            )
        if settings.sie_camera and len(settings.cameras) == 1:
            log.warning("model.sie_camera=true, and all training images are of one camera: its embedding tells nothing")
        return settings

    def criterion(self, spec: ReIdentificationSpec, *, num_classes: int, dim: int, seed: int) -> ReidCriterion:
        """The losses; the center loss only when both of TAO's keys ask for it.

        `metric_loss_type: center` trains on identity and center loss alone, as in TAO.
        """
        model, optim = spec.model, spec.train.optim
        center = None
        combination = spec.dataset.sampler
        if model.with_center_loss and model.metric_loss_type in ("center", "triplet_center"):
            center = CenterLoss(num_classes, dim, learning_rate=optim.center_lr, seed=seed)
            combination = "softmax" if model.metric_loss_type == "center" else "softmax_triplet"
        return ReidCriterion(
            combination=combination,
            label_smoothing=LABEL_SMOOTHING if model.label_smooth else 0.0,
            margin=None if model.no_margin else optim.triplet_loss_margin,
            mining=model.triplet_mining,
            normalise=optim.trp_l2,
            id_weight=model.id_loss_weight,
            triplet_weight=model.triplet_loss_weight,
            center=center,
            center_weight=optim.center_loss_weight,
        )

    def augmentation(self, spec: ReIdentificationSpec) -> Augmentation:
        """How training batches are changed: noise fills erased rectangles for transformers, the mean for the others."""
        return Augmentation(
            flip_prob=spec.dataset.prob,
            padding=spec.dataset.padding,
            erase_prob=spec.dataset.re_prob,
            erase_mode="pixel" if is_transformer(spec.model.backbone) else "mean",
            mean=spec.dataset.pixel_mean,
            std=spec.dataset.pixel_std,
            colour=colour_jitter(spec.dataset.color_augmentation),
            auto_augment=AutoAugment(spec.dataset.auto_augment_prob) if spec.dataset.auto_augment_prob > 0 else None,
        )

    def schedule(self, spec: ReIdentificationSpec) -> Schedule:
        """Warm-up, then steps; or a cosine."""
        optim = spec.train.optim
        return schedule_of(
            spec, method=optim.warmup_method, milestones=optim.lr_steps, warmup_epochs=optim.warmup_epochs
        )

    def initial_weights(self, spec: ReIdentificationSpec, network: ReidNetwork, *, cache_dir: Path) -> dict[str, Any]:
        """The file of `model.pretrained_model_path`, else what `model.pretrain_choice` says."""
        model = spec.model
        if model.pretrained_model_path:
            return load_file(
                network,
                weights_file(model.pretrained_model_path, cache_dir=cache_dir),
                source=label_of(model.pretrained_model_path),
                encryption_key=spec.encryption_key,
            ).to_dict()
        return load_imagenet(network).to_dict() if wants_imagenet(spec) else {}

    def groups(self, spec: ReIdentificationSpec, network: ReidNetwork) -> list[dict[str, Any]]:
        """Weights, biases and the classifier, with `layer_decay` by depth."""
        optim = spec.train.optim
        return parameter_groups(
            network,
            base_lr=optim.base_lr,
            weight_decay=optim.weight_decay,
            bias_lr_factor=optim.bias_lr_factor,
            weight_decay_bias=optim.weight_decay_bias,
            large_fc_lr=optim.large_fc_lr,
            layer_decay=optim.layer_decay,
        )

    def balanced_cameras(self, spec: ReIdentificationSpec, records: Sequence[Record]) -> list[int] | None:
        """With `dataset.camera_balanced`."""
        return [record.camid for record in records] if spec.dataset.camera_balanced else None

    def rates(self, spec: ReIdentificationSpec) -> tuple[float, float]:
        """Those of weights."""
        return spec.train.optim.base_lr, spec.train.optim.momentum
