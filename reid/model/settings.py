"""What a network is built from, and how its backbone is called; reading it needs neither torch nor timm."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

TAO_RESNETS = {f"resnet_{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
"""TAO's spelling of the ResNets and timm's; with it come bag-of-tricks' details, where the settings ask for those."""

NV_DINOV2 = "nvdinov2_vit_large_legacy"
"""TAO's name of NVIDIA's own DINOv2 ViT-L/14, whose blocks have SwiGLU where Meta's have GELU."""

_TIMM_NAMES = {**TAO_RESNETS, NV_DINOV2: "vit_large_patch14_dinov2"}

FANS = {
    "fan_tiny": "xcit_tiny_12_p16_224",
    "fan_small": "xcit_small_12_p16_224",
    "fan_base": "xcit_small_24_p16_224",
    "fan_large": "xcit_medium_24_p16_224",
}
"""TAO's fully attentional networks, which timm does not have, and its network of the nearest kind and size."""

OSNETS = {
    "osnet_x1_0": (64, 256, 384, 512),
    "osnet_x0_75": (48, 192, 288, 384),
    "osnet_x0_5": (32, 128, 192, 256),
    "osnet_x0_25": (16, 64, 96, 128),
}
"""The OSNets of this package (timm has none): channels of the stem and of the three stages."""

SIDE_BY_SIDE = (16, 16)
"""TAO's default of stride_size. It stands for the network's own patches, whatever their size."""

_TRANSFORMERS = ("nvdinov2", "swin", "vit", "deit", "beit", "eva", "flexivit", "cait")


@dataclass(frozen=True)
class NetworkSettings:
    """All that is needed to build a network again; stored in every checkpoint.

    Attributes:
        backbone: TAO's or timm's name, or one of `OSNETS`.
        num_classes: identities of the ID classifier.
        input_height: pixels.
        input_width: pixels.
        feat_dim: embedding size of convolutional networks; a linear reduction is added when the backbone's differs.
        reduce_feat_dim: transformers only: reduce to `feat_dim` as well.
        embedder: what makes the embedding of the backbone's vector: "" for the reduction above, or one of
            `reid.model.embedder`, of which only "linear" heeds `feat_dim`; then there is no jigsaw.
        last_stride: stride of a ResNet's last stage; 1 keeps twice the resolution.
        stem_relu: whether a ResNet under TAO's name keeps the ReLU of its stem, which re-identification leaves out.
        neck: "bnneck", or "" for none.
        neck_feat: which vector is the embedding: "after" or "before" the neck.
        gem_pooling: generalised-mean instead of average pooling, for backbones that give a feature map.
        with_flip_feature: the embedding is the sum of those of the image and its mirror image.
        drop_path: stochastic depth of transformers.
        drop_out: dropout inside transformer blocks.
        att_drop_rate: attention dropout of transformers.
        dropout_rate: dropout before the classifier.
        id_loss_type: head of the ID loss, which plays no part in the embedding; "none" for a network without one.
        cosine_margin: of a margin head: radians for arcface, cosine for the others.
        cosine_scale: of a margin head.
        stride_size: of the patches of a plain vision transformer, pixels down and across; `SIDE_BY_SIDE` leaves them
            as the network has them.
        sie_camera: add an embedding of the camera to the tokens of a plain vision transformer.
        sie_view: add an embedding of the view.
        sie_coe: factor of these embeddings.
        cameras: camera numbers of the training, in the order of their embeddings; empty without sie_camera.
        views: view numbers of the training, in the order of their embeddings; empty without sie_view.
        jpm: jigsaw branch of a plain vision transformer, see `Jigsaw` for the keys below.
        shift_num: patches moved from the start of the sequence to its end.
        shuffle_group: groups that the parts take their patches from.
        devide_length: parts, and thereby local branches.
        re_arrange: whether patches are shifted and shuffled at all.
    """

    backbone: str
    num_classes: int
    input_height: int
    input_width: int
    feat_dim: int = 256
    reduce_feat_dim: bool = False
    embedder: Literal["", "linear", "residual"] = ""
    last_stride: int = 1
    stem_relu: bool = False
    neck: Literal["bnneck", ""] = "bnneck"
    neck_feat: Literal["after", "before"] = "after"
    gem_pooling: bool = False
    with_flip_feature: bool = False
    drop_path: float = 0.0
    drop_out: float = 0.0
    att_drop_rate: float = 0.0
    dropout_rate: float = 0.0
    id_loss_type: Literal["softmax", "arcface", "cosface", "amsoftmax", "circle", "none"] = "softmax"
    cosine_margin: float = 0.5
    cosine_scale: float = 30.0
    stride_size: tuple[int, int] = SIDE_BY_SIDE
    sie_camera: bool = False
    sie_view: bool = False
    sie_coe: float = 3.0
    cameras: tuple[int, ...] = ()
    views: tuple[int, ...] = ()
    jpm: bool = False
    shift_num: int = 5
    shuffle_group: int = 2
    devide_length: int = 4
    re_arrange: bool = True

    @property
    def asked_of_patches(self) -> dict[str, Any]:
        """The settings that only a plain vision transformer can meet, by key."""
        asked = {name: True for name in ("sie_camera", "sie_view", "jpm") if getattr(self, name)}
        overlap = self.stride_size != SIDE_BY_SIDE
        return asked | ({"stride_size": list(self.stride_size)} if overlap else {})

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def timm_name(backbone: str) -> str:
    """timm's name of a network that has one of TAO's; any other name as it is."""
    return _TIMM_NAMES.get(backbone, backbone)


def is_transformer(backbone: str) -> bool:
    """Whether the spec's transformer keys (drop rates, reduce_feat_dim) and TAO's recipe for Swin apply.

    True of plain vision transformers: bicubic resize, noise in erased rectangles, their own width as the embedding's.
    Networks that mix attention with convolutions, and all others, are trained like ResNets.
    """
    return backbone.startswith(_TRANSFORMERS)
