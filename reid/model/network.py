"""The re-identification network: a timm backbone, pooling, an optional reduction, the BNNeck and an ID classifier.

Source of the neck: Luo et al., Bag of Tricks and A Strong Baseline for Deep Person Re-identification, CVPRW 2019. The
metric loss sees the vector before the BNNeck, the ID loss the one after it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from reid.model.heads import Head, build_head
from reid.model.losses import Branch
from reid.model.settings import NetworkSettings
from reid.model.settings import is_transformer as is_transformer


class ReidNetwork(nn.Module):
    """Maps normalised images float [B, 3, H, W] to embeddings float [B, D] (not L2-normalised).

    `forward` is the embedding, as it is exported; `training_output` is what the losses need.

    Raises:
        SpecError: timm does not know the backbone, or it does not take images of that size.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        from reid.model.backbone import build_backbone, width_of  # timm takes seconds to import; bad input tells sooner

        super().__init__()
        self.settings = settings
        self.backbone: Any = build_backbone(settings)
        width = width_of(self.backbone, settings)
        reduce = settings.feat_dim != width and (settings.reduce_feat_dim or not is_transformer(settings.backbone))
        # A linear layer after average pooling equals bag-of-tricks' 1x1 convolution before it, at 1/128 of its work.
        bias = not is_transformer(settings.backbone)
        self.reduction = nn.Linear(width, settings.feat_dim, bias=bias) if reduce else nn.Identity()
        self.embedding_dim = settings.feat_dim if reduce else width
        self.neck = nn.BatchNorm1d(self.embedding_dim) if settings.neck == "bnneck" else nn.Identity()
        self.dropout = nn.Dropout(settings.dropout_rate)
        self.classifier: Head = build_head(
            settings.id_loss_type,
            dim=self.embedding_dim,
            num_classes=settings.num_classes,
            margin=settings.cosine_margin,
            scale=settings.cosine_scale,
        )
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings float [B, D]."""
        embedding = self._embed(images)
        if self.settings.with_flip_feature:
            embedding = embedding + self._embed(images.flip(3))
        return embedding

    def training_output(self, images: Tensor) -> tuple[Branch, ...]:
        """What the losses need of each branch; the first is the one whose accuracy is reported."""
        features = self._features(images)
        return (Branch(features, self.dropout(self.neck(features)), self.classifier),)

    def _features(self, images: Tensor) -> Tensor:
        maps = self.backbone.forward_features(images)
        reduced: Tensor = self.reduction(self.backbone.forward_head(maps, pre_logits=True))  # [B, width] -> [B, D]
        return reduced

    def _embed(self, images: Tensor) -> Tensor:
        features = self._features(images)
        embedding: Tensor = self.neck(features) if self.settings.neck_feat == "after" else features
        return embedding

    def _initialise(self) -> None:
        if isinstance(self.reduction, nn.Linear):
            nn.init.kaiming_normal_(self.reduction.weight, mode="fan_in")
            if self.reduction.bias is not None:
                nn.init.zeros_(self.reduction.bias)
        if isinstance(self.neck, nn.BatchNorm1d):
            self.neck.bias.requires_grad_(
                False
            )  # the ID classifier has no bias either: both share one hyperplane origin


def has_depthwise_convolutions(network: nn.Module) -> bool:
    """Whether a convolution looks at one channel at a time, as those of the MobileNets do."""
    return any(isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 for layer in network.modules())
