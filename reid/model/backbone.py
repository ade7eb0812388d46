"""The backbone: a timm network without its classifier, with bag-of-tricks' changes, and what it cannot do in words.

Importing timm takes seconds, so this module is imported where a network is built and nowhere sooner.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import timm
import torch
from timm.layers import SelectAdaptivePool2d, SwiGLUPacked
from torch import Tensor, nn

from reid.errors import SpecError
from reid.model.osnet import build_osnet
from reid.model.patches import require_plain_vit, set_patch_grid
from reid.model.settings import FANS, NV_DINOV2, OSNETS, TAO_RESNETS, NetworkSettings, is_transformer, timm_name


def build_backbone(settings: NetworkSettings) -> nn.Module:
    """The network without its classifier, for the input size, with bag-of-tricks' changes where they are asked for.

    Raises:
        SpecError: nobody knows the name (the nearest are given), timm lacks a network of TAO's or cannot build it for
            that size, or it has no patches where the settings ask something of them.
    """
    name = timm_name(settings.backbone)
    require_known(settings.backbone)
    backbone = build_osnet(name) if name in OSNETS else _create(name, settings)
    if isinstance(backbone, timm.models.resnet.ResNet):
        _set_last_stride(backbone, settings.last_stride)
        if settings.backbone in TAO_RESNETS and not settings.stem_relu:
            backbone.act1 = nn.Identity()
    if settings.gem_pooling:
        _set_gem_pooling(backbone, settings.backbone)
    for key, value in settings.asked_of_patches.items():
        require_plain_vit(backbone, settings.backbone, f"model.{key}={str(value).lower()}")
    if "stride_size" in settings.asked_of_patches:
        set_patch_grid(backbone, (settings.input_height, settings.input_width), settings.stride_size)
    return backbone


def require_known(backbone: str) -> None:
    """Refuses a name that no network has.

    Raises:
        SpecError: the nearest names are given.
    """
    name = timm_name(backbone)
    if name in FANS:
        raise SpecError(
            f"model.backbone={name}",
            f"the FAN networks are in TAO alone: timm {timm.__version__}, where the networks come from, has none",
            f"choose {FANS[name]}, of the same kind (attention across channels) and about the same size, or another "
            "network of timm",
        )
    if name not in OSNETS and not timm.is_model(name):
        raise SpecError(
            f"model.backbone={backbone} is neither a name of TAO's, nor an OSNet, nor a network of timm "
            f"{timm.__version__}",
            fix=_nearest_names(name),
        )


def width_of(backbone: Any, settings: NetworkSettings) -> int:
    """Numbers that the backbone gives for one image, found by trying.

    Raises:
        SpecError: it does not take images of that size, or gives no vector.
    """
    was_training = backbone.training
    backbone.eval()
    image = torch.zeros(1, 3, settings.input_height, settings.input_width)
    try:
        with torch.inference_mode():
            vector = backbone.forward_head(backbone.forward_features(image), pre_logits=True)
    except Exception as error:  # see _create: some families find out only with an image
        raise _unfit(settings, error) from error
    backbone.train(was_training)
    if vector.ndim != 2:
        raise SpecError(
            f"model.backbone={settings.backbone} gives a tensor of shape {tuple(vector.shape)} for one image",
            "an embedding is one vector for each image",
            "choose a backbone that pools its output",
        )
    return int(vector.shape[1])


def _create(name: str, settings: NetworkSettings) -> nn.Module:
    """timm's network, told the input size where its constructor takes one: many attend over a fixed grid of patches."""
    options: dict[str, Any] = {"pretrained": False, "num_classes": 0}
    if is_transformer(name):
        options["proj_drop_rate"] = settings.drop_out
        options["attn_drop_rate"] = settings.att_drop_rate
        options["drop_path_rate"] = settings.drop_path
    if settings.backbone == NV_DINOV2:  # NVIDIA/tao_pytorch_backend, cv/ml_recog/model/dinov2_legacy.py
        options |= {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU, "mlp_ratio": 5472 / 1024}
    try:
        try:
            size = (settings.input_height, settings.input_width)
            backbone: nn.Module = timm.create_model(name, img_size=size, **options)
        except TypeError:  # an unexpected keyword: the network takes images of any size
            backbone = timm.create_model(name, **options)
    except Exception as error:  # each of timm's families refuses sizes in its own way
        raise _unfit(settings, error) from error
    return backbone


class GeneralisedMeanPooling(nn.Module):
    """GeM: (mean of x^p)^(1/p) over each map, with p learned.

    Source: Radenovic et al., Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019, equation 3.
    """

    def __init__(self, *, flatten: bool, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))
        self.eps, self.flatten = eps, flatten

    def forward(self, maps: Tensor) -> Tensor:
        """float [B, C, H, W] to [B, C], or [B, C, 1, 1] when not flattened; computed in float32."""
        powered = maps.float().clamp(min=self.eps).pow(self.p)
        pooled = powered.mean(dim=(2, 3), keepdim=not self.flatten).pow(1 / self.p)
        return pooled.to(maps.dtype)


def _set_gem_pooling(backbone: nn.Module, name: str) -> None:
    pool = getattr(backbone, "global_pool", None)
    if not isinstance(pool, SelectAdaptivePool2d):
        raise SpecError(
            f"model.gem_pooling=true with model.backbone={name}",
            "this network does not pool a feature map, so there is nothing to replace",
            "set model.gem_pooling=false, or choose a convolutional backbone",
        )
    backbone.global_pool = GeneralisedMeanPooling(flatten=not isinstance(pool.flatten, nn.Identity))


def _set_last_stride(resnet: nn.Module, stride: int) -> None:
    """Changes the stride of layer4 without dilation, as bag-of-tricks does (timm's output_stride would dilate)."""
    for block in resnet.get_submodule("layer4").modules():
        if isinstance(block, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d) and block.stride in (2, (2, 2)):
            block.stride = (stride, stride)
            if not isinstance(block, nn.Conv2d):
                block.kernel_size = (stride, stride)


def _unfit(settings: NetworkSettings, error: Exception) -> SpecError:
    here = (settings.input_height, settings.input_width)
    made_for = timm.get_pretrained_cfg(timm_name(settings.backbone))
    height, width = made_for.input_size[-2:] if made_for else here
    fix = "choose a backbone that takes any size, such as resnet_50, convnext_tiny or swin_tiny_patch4_window7_224"
    if (height, width) != here and height % 32 == width % 32 == 0:  # the spec allows no other sizes
        fix = f"set model.input_height={height} and model.input_width={width}, the size it was made for, or {fix}"
    detail = str(error).splitlines()[0][:200] if str(error) else "no detail"
    return SpecError(
        f"model.backbone={settings.backbone} does not work with model.input_height={here[0]} and "
        f"model.input_width={here[1]} ({type(error).__name__}: {detail})",
        "some of timm's networks take square images only, or sides of certain multiples, or do not pool their output",
        fix,
    )


def _nearest_names(name: str) -> str:
    known = [*TAO_RESNETS, NV_DINOV2, *OSNETS, *timm.list_models()]
    near = get_close_matches(name, known, n=3)
    return f"did you mean {', '.join(near)}?" if near else "see timm.list_models() for the names it knows"
