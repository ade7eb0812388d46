"""Rules of ml_recog that look at several keys at once, or at what the bounds of one key cannot say."""

from __future__ import annotations

import re

from reid.spec.ml_recog.spec import MlRecogSpec
from reid.spec.problems import Problem
from reid.spec.steps import OLDEST_OPSET

_PATCHES_OF_14 = ("patch14", "nvdinov2")
"""Parts of the names of trunks that cut images into patches of 14 pixels."""

_MADE_FOR = re.compile(r"patch\d.*_(\d{3})(?![0-9a-z])")
"""The size in the name of a trunk with patches, such as vit_so400m_patch14_siglip_384: it fits in any case."""


def check_recognition(
    spec: MlRecogSpec, action: str, problems: list[Problem], warnings: list[str], *, training: bool
) -> None:
    """Adds what is wrong with the values, and what does less than it seems to.

    Args:
        spec: with valid values.
        action: the verb it is for; empty for all.
        problems: receives what is wrong.
        warnings: receives what does less than it seems to.
        training: whether the rules of training apply.
    """
    _check_input(spec, problems, training=training)
    asked = action in ("", "export") and spec.is_given("export.opset_version")
    if asked and spec.export.opset_version < OLDEST_OPSET:
        warnings.append(
            f"export.opset_version {spec.export.opset_version} is below the oldest operator set that is written; "
            f"{OLDEST_OPSET} is used"
        )
    if training:
        _check_blur(spec, problems)
        _check_parts(spec, problems, warnings)


def _check_input(spec: MlRecogSpec, problems: list[Problem], *, training: bool) -> None:
    backbone = spec.model.backbone
    steps: tuple[int, ...] = (32, 14)
    if training or spec.is_given("model.backbone"):  # else the network is that of a checkpoint
        steps = (14,) if any(part in backbone for part in _PATCHES_OF_14) else (32,)
    words = " or ".join(str(step) for step in steps)
    made_for = _MADE_FOR.search(backbone)
    for name, size in (("input_width", spec.model.input_width), ("input_height", spec.model.input_height)):
        if all(size % step for step in steps) and not (made_for and size == int(made_for[1])):
            near = sorted({max(round(size / step), 1) * step for step in steps})
            problems.append(
                Problem(
                    f"model.{name} is {size}, and model.backbone is {backbone}",
                    f"it must be a multiple of {words}, as the trunk halves or cuts the image in steps of that many "
                    "pixels",
                    f"use model.{name}={' or '.join(str(value) for value in near)}",
                )
            )


def _check_blur(spec: MlRecogSpec, problems: list[Problem]) -> None:
    least, largest = spec.dataset.gaussian_blur.sigma
    if least > largest:
        problems.append(
            Problem(
                f"dataset.gaussian_blur.sigma is [{least:g}, {largest:g}]",
                "it is the least and the largest standard deviation",
                f"use dataset.gaussian_blur.sigma=[{largest:g},{least:g}]",
            )
        )


def _check_parts(spec: MlRecogSpec, problems: list[Problem], warnings: list[str]) -> None:
    train, model = spec.train, spec.model
    if not (train.train_trunk or train.train_embedder):
        problems.append(
            Problem(
                "train.train_trunk and train.train_embedder are both false",
                "a network of which no part is trained stays as it is",
                "set one of them to true; to measure the network as it is, run evaluate",
            )
        )
    frozen = train.freeze_backbone_epochs
    if frozen and not train.train_embedder:
        problems.append(
            Problem(
                f"train.freeze_backbone_epochs is {frozen}, and train.train_embedder is false",
                "in these epochs no part of the network would be trained",
                "set train.freeze_backbone_epochs=0, or train.train_embedder=true",
            )
        )
    elif frozen and not train.train_trunk:
        warnings.append(
            f"train.freeze_backbone_epochs is {frozen} and train.train_trunk is false; the trunk is frozen to the end"
        )
    for part, trained, path in (
        ("trunk", train.train_trunk, model.pretrained_trunk_path or model.pretrain_choice),
        ("embedder", train.train_embedder, model.pretrained_embedder_path),
    ):
        if not trained and not path and not model.pretrained_model_path:
            warnings.append(
                f"train.train_{part} is false and the {part} has random weights, which it keeps; "
                f"model.pretrained_{part}_path names better ones"
            )
