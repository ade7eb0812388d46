"""How other programs name a network's tensors: one entry for each, as data that a reader can check.

A name is read in two steps. First the wrappers are taken off its front (`WRAPPERS`): what a program puts before the
backbone's own names. Then the first layout all of whose signs are found in the file says what the rest means. A name
that no rule fits is taken to be the backbone's own, so a layout lists only what differs from timm.

Sources: the public code named in each entry, read for names, shapes and the order of channels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor

from reid.model.weights.changes import as_linear, as_scalar, as_vector, merging_matrix, merging_vector

WRAPPERS = {
    "module.": "torch's DataParallel and DistributedDataParallel",
    "_orig_mod.": "torch.compile",
    "model.": "the usual attribute of a LightningModule; TAO",
    "network.": "checkpoints of this package",
    "backbone.": "this package, fast-reid, mmcv, SOLIDER's pre-training",
    "base.": "reid-strong-baseline, TransReID, SOLIDER-REID, TAO",
    "encoder.": "torchvision's ViT, self-supervised training",
    "trunk.": "timm networks inside of OpenCLIP",
}
"""What may stand before a backbone's names, and who puts it there."""


@dataclass(frozen=True)
class Rule:
    """One line of a name map.

    Attributes:
        source: regular expression of the whole name, without wrappers.
        target: the name in this package's network, with the groups of `source`; `{last}` is the number of the file's
            last transformer block.
        change: what must be done to the numbers; None for nothing.
        ndim: dimensions the tensor must have for the rule to apply; None for any.
    """

    source: str
    target: str
    change: Callable[[Tensor], Tensor] | None = None
    ndim: int | None = None


@dataclass(frozen=True)
class LeftOut:
    """Tensors that a layout has and that this package's network deliberately does not take.

    Attributes:
        source: regular expression of the whole name, without wrappers.
        reason: why, for users.
    """

    source: str
    reason: str


@dataclass(frozen=True)
class Layout:
    """The names of one program.

    Attributes:
        name: in pretrained.json.
        title: in sentences.
        signs: regular expressions; each must be found in some name, with or without wrappers.
        rules: the first that fits a name says where the tensor goes; of two names for one place, the one whose rule
            stands first is taken.
        left_out: what is not taken, beside `ALWAYS_LEFT_OUT`.
    """

    name: str
    title: str
    signs: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


_OTHER_IDENTITIES = "it tells apart the classes of the data it was trained on"
_OTHER_CAMERAS = "the cameras and views are those of the data it was trained on"
_NO_SUCH_PART = "this package's network has no such part"

ALWAYS_LEFT_OUT = (
    LeftOut(r"(classifier|fc|heads?|head_dist|last_linear)(\..+)?", _OTHER_IDENTITIES),
    LeftOut(r"(center_criterion|criterion|loss\w*)\..+", "it belongs to the losses of the earlier training"),
    LeftOut(r".*(relative_position_index|attn_mask)", "the network computes it by itself"),
    LeftOut(r"pixel_(mean|std)", "pixels are normalised by dataset.pixel_mean and dataset.pixel_std"),
)
"""Not taken from any file, unless the backbone itself has a tensor of that name."""

_BOTTLENECK = Rule(r"bottleneck\.(weight|bias|running_mean|running_var)", r"neck.\1")
_FCNECK = Rule(r"fcneck\.weight", "reduction.weight")

# mmseg's Swin: names of its modules, and patch merging by torch's Unfold, which orders the four pixels in another way.
_MMSEG_BLOCK = r"stages\.(\d+)\.blocks\.(\d+)\."
_MMSEG_SWIN = (
    Rule(r"patch_embed\.projection\.(.+)", r"backbone.patch_embed.proj.\1"),
    Rule(
        _MMSEG_BLOCK + r"attn\.w_msa\.((?:qkv|proj)\..+|relative_position_bias_table)",
        r"backbone.layers.\1.blocks.\2.attn.\3",
    ),
    Rule(_MMSEG_BLOCK + r"ffn\.layers\.0\.0\.(.+)", r"backbone.layers.\1.blocks.\2.mlp.fc1.\3"),
    Rule(_MMSEG_BLOCK + r"ffn\.layers\.1\.(.+)", r"backbone.layers.\1.blocks.\2.mlp.fc2.\3"),
    Rule(_MMSEG_BLOCK + r"(norm[12]\..+)", r"backbone.layers.\1.blocks.\2.\3"),
    *(
        rule
        for stage in range(3)  # timm merges at the start of a stage, mmseg at the end of the one before
        for rule in (
            Rule(
                rf"stages\.{stage}\.downsample\.reduction\.weight",
                f"backbone.layers.{stage + 1}.downsample.reduction.weight",
                merging_matrix,
            ),
            Rule(
                rf"stages\.{stage}\.downsample\.norm\.(weight|bias)",
                rf"backbone.layers.{stage + 1}.downsample.norm.\1",
                merging_vector,
            ),
        )
    ),
    Rule(r"norm3\.(.+)", r"backbone.norm.\1"),
)
_MMSEG_SWIN_LEFT_OUT = (
    LeftOut(r"norm[0-2]\..+", "it normalises maps of earlier stages, which re-identification does not use"),
    LeftOut(r"semantic_embed_[wb]\..+", "timm's Swin networks have no semantic control (model.semantic_weight)"),
)

OWN = Layout(
    "reid",
    "a checkpoint of this package",
    signs=(r"^network\.backbone\.",),
    rules=(Rule(r"((?:parts\.\d+\.)?(?:reduction|neck)|jigsaw|embedder)\.(.+)", r"\1.\2"),),
    left_out=(LeftOut(r"side\.table", _OTHER_CAMERAS), LeftOut(r"parts\.\d+\.classifier\..+", _OTHER_IDENTITIES)),
)
TAO = Layout(
    "tao",
    "TAO's ReIdentificationNet",  # NVIDIA/tao_pytorch_backend, cv/re_identification/model
    signs=(r"^model\.base\.",),
    rules=(
        Rule(r"feature\.weight", "reduction.weight", as_linear),  # ResNet: 1x1 convolution to feat_dim
        Rule(r"feature\.bias", "reduction.bias"),
        _FCNECK,
        _BOTTLENECK,
        *_MMSEG_SWIN,
    ),
    left_out=_MMSEG_SWIN_LEFT_OUT,
)


def _embedder(prefix: str) -> tuple[Rule, ...]:
    """TAO's names of its embedders of metric learning, behind a prefix: one linear layer, or the dual head."""
    return (
        Rule(rf"{prefix}net\.0\.(weight|bias)", r"embedder.\1"),
        *(
            Rule(
                rf"{prefix}classifier_feat{number or ''}\.{place}\.(weight|bias)",
                rf"embedder.blocks.{block}.{layer}.\1",
            )
            for block, number in enumerate((0, 2, 3, 4))
            for place, layer in ((0, "fc1"), (2, "fc2"))
        ),
        Rule(rf"{prefix}embedding_fc\.0\.(weight|bias)", r"embedder.norm.\1"),
        Rule(rf"{prefix}embedding_fc\.1\.(weight|bias)", r"embedder.fc.\1"),
    )


_SAME_LAYER = "it is the layer net.0 under a second name"

TAO_RECOGNITION = Layout(
    "tao-ml-recog",
    "TAO's metric-learning recognition",  # NVIDIA/tao_pytorch_backend, cv/ml_recog/model/backbone.py
    signs=(r"(^|\.)embedder\.(net\.0|classifier_feat\.0|weight$|blocks\.0\.fc1)",),
    rules=(*_embedder(r"embedder\."), Rule(r"embedder\.((?:blocks|norm|fc)\..+|weight|bias)", r"embedder.\1")),
    left_out=(LeftOut(r"embedder\.last_linear\..+", _SAME_LAYER),),
)
TAO_RECOGNITION_V1 = Layout(
    "tao-ml-recog-1",
    "the first version of TAO's metric-learning recognition, a Sequential of trunk and embedder",
    signs=(r"^0\..+", r"^1\.net\.0\.weight$"),
    rules=(Rule(r"0\.(.+)", r"backbone.\1"), *_embedder(r"1\.")),
    left_out=(LeftOut(r"1\.last_linear\..+", _SAME_LAYER),),
)
FAST_REID = Layout(
    "fast-reid",
    "fast-reid",  # JDAI-CV/fast-reid, fastreid/modeling/heads
    signs=(r"(^|\.)heads\.(weight$|bottleneck\.|bnneck\.|classifier\.|pool_layer\.)",),
    rules=(
        Rule(r"heads\.pool_layer\.(?:0\.)?p", "backbone.global_pool.p", as_scalar),
        Rule(r"heads\.bottleneck\.0\.weight", "reduction.weight", as_linear, ndim=4),  # 1x1 convolution, no bias
        Rule(r"heads\.bottleneck\.[01]\.(weight|bias|running_mean|running_var)", r"neck.\1", ndim=1),
        Rule(r"heads\.bnneck\.(weight|bias|running_mean|running_var)", r"neck.\1"),  # versions before 1.0
    ),
    left_out=(
        LeftOut(r"heads\.(weight|classifier\..+|cls_layer\..+)", _OTHER_IDENTITIES),
        LeftOut(r"heads\..+", _NO_SUCH_PART),
    ),
)
TRANSREID = Layout(
    "transreid",
    "TransReID",  # damo-cv/TransReID, model/make_model.py and model/backbones/vit_pytorch.py
    signs=(r"(^|\.)base\.cls_token$",),
    rules=(
        # With jigsaw patches the last block and norm of `base` are never used, and so never trained: their copies are.
        Rule(r"b1\.0\.(.+)", r"backbone.blocks.{last}.\1"),
        Rule(r"b1\.1\.(.+)", r"backbone.norm.\1"),
        _BOTTLENECK,
        Rule(r"b2\.0\.(.+)", r"jigsaw.block.\1"),
        Rule(r"b2\.1\.(.+)", r"jigsaw.norm.\1"),
        *(
            Rule(rf"bottleneck_{part + 1}\.(weight|bias|running_mean|running_var)", rf"parts.{part}.neck.\1")
            for part in range(4)
        ),
    ),
    left_out=(
        LeftOut(r"sie_embed", _OTHER_CAMERAS),
        LeftOut(r"classifier_\d\..+", _OTHER_IDENTITIES),
    ),
)
SOLIDER = Layout(
    "solider",
    "SOLIDER, or another Swin in mmseg's names",  # tinyvision/SOLIDER-REID, model/backbones/swin_transformer.py
    signs=(r"(^|\.)stages\.0\.blocks\.0\.attn\.w_msa\.",),
    rules=(*_MMSEG_SWIN, _FCNECK, _BOTTLENECK),
    left_out=_MMSEG_SWIN_LEFT_OUT,
)
STRONG_BASELINE = Layout(
    "reid-strong-baseline",
    "reid-strong-baseline",  # michuanhaohao/reid-strong-baseline, modeling/baseline.py
    signs=(r"(^|\.)base\.layer4\.", r"(^|\.)(bottleneck|classifier)\.weight$"),
    rules=(_BOTTLENECK, _FCNECK),
)


def _sequential(name: str, title: str, stem: tuple[str, ...]) -> Layout:
    """A ResNet whose modules were put into one nn.Sequential, so that numbers stand for their names."""
    modules = (*stem, "layer1", "layer2", "layer3", "layer4")
    first_stage = len(stem)
    return Layout(
        name,
        title,
        signs=(rf"(^|\.)base\.{first_stage}\.0\.conv1\.weight$", rf"(^|\.)base\.{len(modules) - 1}\.0\.conv1\.weight$"),
        rules=(
            *(Rule(rf"{index}\.(.+)", rf"backbone.{module}.\1") for index, module in enumerate(modules)),
            Rule(r"feat_bn\.(weight|bias|running_mean|running_var)", r"neck.\1"),
            _BOTTLENECK,
        ),
        left_out=(LeftOut(r"feat\..+", "the layer before its batch norm is another than this package's"),),
    )


SPCL = _sequential("spcl", "SpCL and its kin (a ResNet without ReLU in the stem)", ("conv1", "bn1", "maxpool"))
CHILDREN = _sequential("sequential", "a ResNet's modules in a Sequential", ("conv1", "bn1", "relu", "maxpool"))
TORCHREID = Layout(
    "torchreid",
    "torchreid",  # KaiyangZhou/deep-person-reid, torchreid/models/{resnet,osnet}.py
    signs=(r"(^|\.)classifier\.weight$", r"(^|\.)(layer4\.0|conv5)\."),
    left_out=(LeftOut(r"fc\.\d+\..+", "its layer after pooling (linear, batch norm, ReLU) is another than ours"),),
)
TORCHVISION_VIT = Layout(
    "torchvision-vit",
    "torchvision's ViT",  # pytorch/vision, torchvision/models/vision_transformer.py
    signs=(r"encoder\.layers\.encoder_layer_0\.ln_1\.weight$",),
    rules=(
        Rule(r"class_token", "backbone.cls_token"),
        Rule(r"pos_embedding", "backbone.pos_embed"),
        Rule(r"conv_proj\.(.+)", r"backbone.patch_embed.proj.\1"),
        Rule(r"layers\.encoder_layer_(\d+)\.ln_([12])\.(.+)", r"backbone.blocks.\1.norm\2.\3"),
        Rule(r"layers\.encoder_layer_(\d+)\.self_attention\.in_proj_(weight|bias)", r"backbone.blocks.\1.attn.qkv.\2"),
        Rule(r"layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.(.+)", r"backbone.blocks.\1.attn.proj.\2"),
        Rule(r"layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.(.+)", r"backbone.blocks.\1.mlp.fc1.\2"),
        Rule(r"layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.(.+)", r"backbone.blocks.\1.mlp.fc2.\2"),
        Rule(r"ln\.(.+)", r"backbone.norm.\1"),
    ),
)
TORCHVISION_SWIN = Layout(
    "torchvision-swin",
    "torchvision's Swin",  # pytorch/vision, torchvision/models/swin_transformer.py
    signs=(r"features\.1\.0\.attn\.relative_position_bias_table$",),
    rules=(
        Rule(r"features\.0\.0\.(.+)", r"backbone.patch_embed.proj.\1"),
        Rule(r"features\.0\.2\.(.+)", r"backbone.patch_embed.norm.\1"),
        *(
            rule
            for stage in range(4)
            for rule in (
                Rule(rf"features\.{2 * stage}\.((?:norm|reduction)\..+)", rf"backbone.layers.{stage}.downsample.\1"),
                Rule(
                    rf"features\.{2 * stage + 1}\.(\d+)\.mlp\.0\.(.+)", rf"backbone.layers.{stage}.blocks.\1.mlp.fc1.\2"
                ),
                Rule(
                    rf"features\.{2 * stage + 1}\.(\d+)\.mlp\.3\.(.+)", rf"backbone.layers.{stage}.blocks.\1.mlp.fc2.\2"
                ),
                Rule(rf"features\.{2 * stage + 1}\.(\d+)\.(.+)", rf"backbone.layers.{stage}.blocks.\1.\2"),
            )
        ),
    ),
)
TORCHVISION_CONVNEXT = Layout(
    "torchvision-convnext",
    "torchvision's ConvNeXt",  # pytorch/vision, torchvision/models/convnext.py
    signs=(r"features\.1\.0\.layer_scale$",),
    rules=(
        Rule(r"features\.0\.([01])\.(.+)", r"backbone.stem.\1.\2"),
        *(
            rule
            for stage in range(4)
            for rule in (
                Rule(rf"features\.{2 * stage}\.([01])\.(.+)", rf"backbone.stages.{stage}.downsample.\1.\2"),
                *(
                    Rule(
                        rf"features\.{2 * stage + 1}\.(\d+)\.block\.{index}\.(.+)",
                        rf"backbone.stages.{stage}.blocks.\1.{module}.\2",
                    )
                    for index, module in ((0, "conv_dw"), (2, "norm"), (3, "mlp.fc1"), (5, "mlp.fc2"))
                ),
                Rule(
                    rf"features\.{2 * stage + 1}\.(\d+)\.layer_scale",
                    rf"backbone.stages.{stage}.blocks.\1.gamma",
                    as_vector,
                ),
            )
        ),
        Rule(r"classifier\.0\.(.+)", r"backbone.head.norm.\1"),
    ),
)
PLAIN = Layout("timm", "timm's names (torchvision's ResNets, and the files that timm converts)", signs=())
BY_ORDER = Layout("order", "another program's names, by the order and shapes of the tensors", signs=())

LAYOUTS = (
    OWN,
    TAO,
    TAO_RECOGNITION,
    TAO_RECOGNITION_V1,
    FAST_REID,
    TRANSREID,
    SOLIDER,
    STRONG_BASELINE,
    CHILDREN,
    SPCL,
    TORCHREID,
    TORCHVISION_VIT,
    TORCHVISION_SWIN,
    TORCHVISION_CONVNEXT,
    PLAIN,
)
"""In the order in which they are tried; the last has no signs, so that every file has a layout."""


def recognise(raw: Collection[str], bare: Collection[str]) -> Layout:
    """The first layout all of whose signs are found among names with (`raw`) or without (`bare`) wrappers."""
    names = [*raw, *bare]
    return next(
        layout for layout in LAYOUTS if all(any(re.search(sign, name) for name in names) for sign in layout.signs)
    )


def without_wrappers(name: str, own: Collection[str]) -> str:
    """`name` without what stands before the backbone's own names; what is in `own` is left as it is."""
    while name not in own and (wrapper := next((w for w in WRAPPERS if name.startswith(w)), "")):
        name = name.removeprefix(wrapper)
    return name
