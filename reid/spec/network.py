"""What the `model` blocks of both families share."""

from __future__ import annotations

from typing import Literal

from reid.spec.base import Section, key


class NetworkSpec(Section):
    """Backbone, initial weights and input; the families differ in defaults and bounds of the rest."""

    backbone: str
    pretrain_choice: Literal["imagenet", "self", ""] = key(
        "imagenet",
        "Initial weights: imagenet (timm's), self (the file of pretrained_model_path), or empty for random ones.",
        ours="ml_recog",
    )
    pretrained_model_path: str = key(
        "",
        "Initial weights, of this or another program: a file, a URI (file://, https://, s3://), or package:NAME/FILE "
        "for a file of an installed package. Once set, they are read whatever pretrain_choice is.",
    )
    input_channels: int = key(3, "Colour channels.", ge=3, le=3, no_effect="images are always read as RGB")
    input_width: int
    input_height: int
    feat_dim: int
