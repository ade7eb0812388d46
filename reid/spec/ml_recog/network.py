"""The `model` block of ml_recog: a trunk, and the embedder on top of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from reid.spec.base import key, like
from reid.spec.network import NetworkSpec

_WEIGHTS = "a file or a place as in pretrained_model_path. Not read when a training is resumed."


class ModelSpec(NetworkSpec):
    """Trunk, embedder, and the weights they start from."""

    backbone: Annotated[str, StringConstraints(min_length=1)] = key(
        "resnet_50",
        "Trunk: TAO's names resnet_50, resnet_101 and nvdinov2_vit_large_legacy, or any timm name. TAO's fan_tiny, "
        "fan_small, fan_base and fan_large are in no timm: the error names one of the same kind and size.",
        tao_type="categorical",
        tao_choices=(
            "resnet_50",
            "resnet_101",
            "fan_small",
            "fan_base",
            "fan_large",
            "fan_tiny",
            "nvdinov2_vit_large_legacy",
        ),
    )
    pretrained_model_path: str = like(
        NetworkSpec,
        "pretrained_model_path",
        description="Initial weights of trunk and embedder: a file, a URI (file://, https://, s3://), or "
        "package:NAME/FILE for a file of an installed package. Read over those of the two keys of parts.",
    )
    input_channels: int = like(NetworkSpec, "input_channels", tao_bounds=(None, None))
    pretrained_trunk_path: str = key("", f"Initial weights of the trunk alone: {_WEIGHTS}")
    pretrained_embedder_path: str = key("", f"Initial weights of the embedder alone: {_WEIGHTS}")
    input_width: int = key(
        224,
        "Width in pixels of the network's input: a multiple of 32, or of 14 for a trunk with patches of 14; "
        "or the size in the name of such a trunk (..._patch14_siglip_384).",
        ge=14,
        tao_bounds=(None, None),
        parent_param=True,
    )
    input_height: int = key(
        224,
        "Height in pixels of the network's input: a multiple of 32, or of 14 for a trunk with patches of 14; "
        "or the size in the name of such a trunk (..._patch14_siglip_384).",
        ge=14,
        tao_bounds=(None, None),
        parent_param=True,
    )
    feat_dim: int = key(
        256,
        "Length of the embedding; nvdinov2_vit_large_legacy keeps the trunk's width instead, as in TAO.",
        ge=1,
        tao_bounds=(None, None),
    )
