"""The `model` block of re_identification: which network is trained, and which losses it is trained with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from reid.spec.base import key
from reid.spec.network import NetworkSpec


class ModelSpec(NetworkSpec):
    """Architecture, neck and losses."""

    backbone: Annotated[str, StringConstraints(min_length=1)] = key(
        "resnet_50",
        "Network under the neck: TAO's names (resnet_50, swin_tiny_patch4_window7_224, ...), osnet_x1_0, "
        "osnet_x0_75, osnet_x0_5, osnet_x0_25, or any timm name.",
        popular=True,
    )
    last_stride: int = key(
        1,
        "Stride of the last stage of a ResNet; 1 keeps a larger feature map than the usual 2.",
        ge=1,
        tao_bounds=(1, 1),
    )
    input_width: int = key(
        128, "Width in pixels every image is resized to.", ge=32, multiple_of=32, tao_bounds=(128, 128)
    )
    input_height: int = key(
        256, "Height in pixels every image is resized to.", ge=32, multiple_of=32, tao_bounds=(256, 256)
    )
    neck: Literal["bnneck", ""] = key(
        "bnneck", "bnneck puts a batch norm between embedding and classifier; empty: none."
    )
    neck_feat: Literal["before", "after"] = key(
        "after", "Which side of the neck gives the embedding for evaluation, inference and export."
    )
    feat_dim: int = key(256, "Length of the embedding.", ge=1, tao_bounds=(32, 768))
    reduce_feat_dim: bool = key(False, "Swin: project the pooled feature to feat_dim; false keeps the network's width.")
    gem_pooling: bool = key(False, "Generalised-mean pooling with a learnt exponent, in place of the average.")
    triplet_mining: Literal["batch_hard", "weighted"] = key(
        "batch_hard",
        "Which pairs the triplet loss compares: the farthest positive with the nearest negative, or all of them, each "
        "weighted by how hard it is (a soft margin then applies).",
        ours=True,
    )
    metric_loss_type: Literal["triplet", "center", "triplet_center"] = key(
        "triplet", "Metric loss beside the identity loss; the two with center also need with_center_loss."
    )
    with_center_loss: bool = key(False, "Pull embeddings to a learnt centre of their identity.")
    with_flip_feature: bool = key(False, "Add the embedding of the mirrored image outside training.")
    label_smooth: bool = key(True, "Smooth the identity labels by 0.1.")
    no_margin: bool = key(False, "Soft-margin triplet loss, log(1 + exp(d)), in place of a fixed margin.")
    id_loss_type: Literal["softmax", "arcface", "cosface", "amsoftmax", "circle"] = key(
        "softmax",
        "Identity loss: cross-entropy, or a margin head on the angle to each identity's weight vector, with "
        "train.optim.cosine_margin and cosine_scale. amsoftmax and cosface are one formula.",
    )
    id_loss_weight: float = key(1.0, "Weight of the identity loss.", ge=0, tao_bounds=(0, 1))
    triplet_loss_weight: float = key(1.0, "Weight of the triplet loss.", ge=0, tao_bounds=(0, 1))
    drop_path: float = key(0.1, "Swin: stochastic depth rate.", ge=0, le=1)
    drop_out: float = key(0.0, "Swin: dropout inside the blocks.", ge=0, le=1)
    att_drop_rate: float = key(0.0, "Swin: dropout of attention weights.", ge=0, le=1)
    dropout_rate: float = key(0.0, "Dropout before the classifier.", ge=0, le=1)
    cos_layer: bool = key(False, "Cosine classifier.", no_effect="TAO stores it and never reads it; neither do we")
    stem_conv: bool = key(False, "Convolutional stem.", no_effect="TAO never reads it; the backbone defines its stem")
    pretrain_hw_ratio: float = key(
        2.0,
        "Height over width of the pre-training images.",
        gt=0,
        tao_bounds=(2, 2),
        no_effect="the backbone adapts itself to input_height and input_width",
    )
    semantic_weight: float = key(
        1.0,
        "Swin: strength of SOLIDER's semantic control.",
        ge=0,
        le=1,
        no_effect="timm's Swin networks have no semantic control",
    )
    jpm: bool = key(
        False,
        "ViT: jigsaw patch branch, which adds an embedding of each of devide_length shuffled parts of the patches; the "
        "embedding is 1 + devide_length times as long.",
    )
    shift_num: int = key(5, "Jigsaw: patches moved from the start of the sequence to its end.", ge=0, tao_bounds=(5, 5))
    shuffle_group: int = key(
        2, "Jigsaw: groups the sequence is cut into; patches are then taken from each in turn.", ge=1, tao_bounds=(2, 2)
    )
    devide_length: int = key(4, "Jigsaw: parts the sequence is divided into (TAO's spelling).", ge=1, tao_bounds=(4, 4))
    re_arrange: bool = key(
        True, "Jigsaw: shift and shuffle the patches before they are divided; false divides the image into strips."
    )
    stride_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = key(
        (16, 16),
        "ViT: stride of the patches in pixels, down and across; below the patch size they overlap. 16, 16 leaves every "
        "network its own patches, whatever their size.",
        automl=False,
    )
    sie_camera: bool = key(
        False, "ViT: adds a learnt embedding of the image's camera to the patches; an unknown camera gets the mean."
    )
    sie_view: bool = key(
        False, "ViT: adds a learnt embedding of the image's view, the number after v in its name (0007_c2v1_...)."
    )
    sie_coe: float = key(3.0, "ViT: weight of the embeddings of sie_camera and sie_view.", ge=0)
