"""The re-identification network: a backbone, pooling, an optional reduction, the BNNeck and an ID head.

Source of the neck: Luo et al., Bag of Tricks and A Strong Baseline for Deep Person Re-identification, CVPRW 2019. The
metric loss sees the vector before the BNNeck, the ID loss the one after it. Source of side information and jigsaw: He
et al., TransReID: Transformer-based Object Re-Identification, ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reid.data.records import Record
from reid.data.side import Side, side_of
from reid.model.embedder import build_embedder
from reid.model.heads import Head, build_head
from reid.model.jigsaw import Jigsaw
from reid.model.losses import Branch
from reid.model.settings import NetworkSettings
from reid.model.settings import is_transformer as is_transformer
from reid.model.side import SideEmbedding

Part = Literal["trunk", "embedder"]
"""The backbone with what works inside of it, and all that follows."""

_TRUNK = ("backbone", "side", "jigsaw")


class ReidNetwork(nn.Module):
    """Maps normalised images float [B, 3, H, W] to embeddings float [B, D] (not L2-normalised).

    `forward` is the embedding, as it is exported; `training_output` is what the losses need. A network with side
    information takes it beside the images; without it, every image gets the mean of the side embeddings.

    With a jigsaw the embedding is that of the whole image followed by those of the parts, each divided by their number;
    D is then 1 + parts times `branch_dim`, the length of each.

    Raises:
        SpecError: there is no such backbone, it does not take images of that size, or it has no patches where the
            settings ask something of them.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        from reid.model.backbone import build_backbone, width_of  # timm takes seconds to import; bad input tells sooner

        super().__init__()
        self.settings = settings
        self._frozen: tuple[Part, ...] = ()
        self._statistics_kept = False
        self.backbone: Any = build_backbone(settings)
        width = width_of(self.backbone, settings)
        self.embedder, self.branch_dim = build_embedder(settings.embedder, width=width, dim=_dim(settings, width))
        self.reduction = nn.Identity() if settings.embedder else _reduction(settings, width, self.branch_dim)
        self.neck = _neck(settings, self.branch_dim)
        self.dropout = nn.Dropout(settings.dropout_rate)
        self.classifier = _head(settings, self.branch_dim)
        self.side = _side(settings, self.backbone)
        self.jigsaw = _jigsaw(settings, self.backbone)
        parts = settings.devide_length if settings.jpm else 0
        self.parts = nn.ModuleList(_Part(settings, width, self.branch_dim) for _ in range(parts))
        self.embedding_dim = self.branch_dim * (1 + parts)

    def forward(self, images: Tensor, side: Side | None = None) -> Tensor:
        """Embeddings float [B, D]."""
        embedding = self._embed(images, side)
        if self.settings.with_flip_feature:
            embedding = embedding + self._embed(images.flip(3), side)
        return embedding

    def training_output(self, images: Tensor, side: Side | None = None) -> tuple[Branch, ...]:
        """What the losses need of each branch: the whole image, then the parts of a jigsaw, which share half of it."""
        whole, *parts = self._features(images, side)
        share = 0.5 if parts else 1.0
        first = Branch(whole, self.dropout(self.neck(whole)), self.classifier, share)
        return first, *(
            Branch(features, self.dropout(part.neck(features)), part.classifier, share / len(parts))
            for part, features in zip(self._parts(), parts, strict=True)
        )

    def part(self, part: Part) -> dict[str, nn.Module]:
        """The modules of a part by the names that they have here."""
        return {name: module for name, module in self.named_children() if (name in _TRUNK) == (part == "trunk")}

    def freeze(self, part: Part) -> None:
        """Keeps a part as it is from now on: no gradients, and batch norms and dropout always as in evaluation."""
        self._frozen += (part,)
        for module in self.part(part).values():
            module.requires_grad_(False)
        self.train(self.training)

    def freeze_batch_norm(self) -> None:
        """Keeps the trunk's batch norms at the statistics that they have; their weights learn like all others."""
        self._statistics_kept = True
        self.train(self.training)

    def train(self, mode: bool = True) -> ReidNetwork:
        """Sets the mode of all but what is frozen, which stays in evaluation mode."""
        super().train(mode)
        kept = [module for part in self._frozen for module in self.part(part).values()]
        if self._statistics_kept:
            trunk = nn.ModuleDict(self.part("trunk"))
            kept += [layer for layer in trunk.modules() if isinstance(layer, _BatchNorm)]
        for module in kept:
            module.eval()
        return self

    def side_of(self, records: Sequence[Record | None]) -> Side | None:
        """Side information of images, of which None is known by its pixels alone; None where the network takes none."""
        if self.side is None:
            return None
        return side_of(records, cameras=self.settings.cameras, views=self.settings.views)

    def backbone_loaded(self) -> None:
        """Lets what starts as a copy of the backbone take over its pretrained weights; called once those are in."""
        if self.jigsaw is not None:
            self.jigsaw.start_from(self.backbone)

    def _embed(self, images: Tensor, side: Side | None) -> Tensor:
        whole, *parts = self._features(images, side)
        if self.settings.neck_feat == "after":
            whole = self.neck(whole)
            parts = [part.neck(features) for part, features in zip(self._parts(), parts, strict=True)]
        return torch.cat([whole, *(features / len(parts) for features in parts)], dim=1) if parts else whole

    def _features(self, images: Tensor, side: Side | None) -> list[Tensor]:
        """Float [B, branch_dim] of the whole image and of each part of a jigsaw, before the neck."""
        if self.side is None and self.jigsaw is None:
            return [self.embedder(self.reduction(self._pooled(self.backbone.forward_features(images))))]
        tokens = self._tokens(images, side)
        whole = self.embedder(self.reduction(self._pooled(self.backbone.norm(self.backbone.blocks[-1](tokens)))))
        if self.jigsaw is None:
            return [whole]
        parts = zip(self._parts(), self.jigsaw(tokens), strict=True)
        return [whole, *(part.reduction(self._pooled(seen)) for part, seen in parts)]

    def _tokens(self, images: Tensor, side: Side | None) -> Tensor:
        """Float [B, T, width] before a plain vision transformer's last block: timm's forward_features, cut open."""
        vit = self.backbone
        tokens: Tensor = vit._pos_embed(vit.patch_embed(images))  # timm has no public name for this step
        if self.side is not None:
            tokens = tokens + self.side(side).to(tokens.dtype)
        tokens = vit.norm_pre(vit.patch_drop(tokens))
        for block in vit.blocks[:-1]:
            tokens = block(tokens)
        return tokens

    def _pooled(self, maps: Tensor) -> Tensor:
        pooled: Tensor = self.backbone.forward_head(maps, pre_logits=True)  # [B, width]
        return pooled

    def _parts(self) -> list[_Part]:
        return [part for part in self.parts if isinstance(part, _Part)]


def has_depthwise_convolutions(network: nn.Module) -> bool:
    """Whether a convolution looks at one channel at a time, as those of the MobileNets do."""
    return any(isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 for layer in network.modules())


class _Part(nn.Module):
    """Reduction, neck and head of one part of a jigsaw, like those of the whole image."""

    def __init__(self, settings: NetworkSettings, width: int, dim: int) -> None:
        super().__init__()
        self.reduction = _reduction(settings, width, dim)
        self.neck = _neck(settings, dim)
        self.classifier = _head(settings, dim)


def _dim(settings: NetworkSettings, width: int) -> int:
    """Length of one branch's vector; a transformer's own unless the spec asks for another."""
    wanted = settings.embedder or settings.reduce_feat_dim or not is_transformer(settings.backbone)
    return settings.feat_dim if wanted else width


def _reduction(settings: NetworkSettings, width: int, dim: int) -> nn.Module:
    """A linear layer after average pooling equals bag-of-tricks' 1x1 convolution before it, at 1/128 of its work."""
    if width == dim:
        return nn.Identity()
    reduction = nn.Linear(width, dim, bias=not is_transformer(settings.backbone))
    nn.init.kaiming_normal_(reduction.weight, mode="fan_in")
    if reduction.bias is not None:
        nn.init.zeros_(reduction.bias)
    return reduction


def _neck(settings: NetworkSettings, dim: int) -> nn.Module:
    if settings.neck != "bnneck":
        return nn.Identity()
    neck = nn.BatchNorm1d(dim)
    neck.bias.requires_grad_(False)  # the ID head has no bias either: both share one origin of the hyperplanes
    return neck


def _head(settings: NetworkSettings, dim: int) -> Head | None:
    if settings.id_loss_type == "none":
        return None
    return build_head(
        settings.id_loss_type,
        dim=dim,
        num_classes=settings.num_classes,
        margin=settings.cosine_margin,
        scale=settings.cosine_scale,
    )


def _side(settings: NetworkSettings, backbone: Any) -> SideEmbedding | None:
    if not (settings.sie_camera or settings.sie_view):
        return None
    cameras, views = len(settings.cameras), len(settings.views)
    return SideEmbedding(cameras, views, dim=backbone.embed_dim, scale=settings.sie_coe)


def _jigsaw(settings: NetworkSettings, backbone: Any) -> Jigsaw | None:
    if not settings.jpm:
        return None
    return Jigsaw(
        backbone,
        shift=settings.shift_num,
        groups=settings.shuffle_group,
        parts=settings.devide_length,
        re_arrange=settings.re_arrange,
    )
