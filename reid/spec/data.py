"""What the `dataset` blocks of both families share, and the `re_ranking` block."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reid.spec.base import BYTES_PER_GB, Section, key

_Deviation = Annotated[float, Field(gt=0)]


class ColorAugmentationSpec(Section):
    """Colour jitter of training images; the keys are those of TAO's ml_recog."""

    enabled: bool = key(
        False, "Jitter the colours of training images, each image by its own draw.", ours="re_identification"
    )
    brightness: float = key(
        0.5, "Brightness factor between 1 - this and 1 + this.", ge=0, le=2, ours="re_identification"
    )
    contrast: float = key(0.3, "Contrast factor between 1 - this and 1 + this.", ge=0, le=2, ours="re_identification")
    saturation: float = key(
        0.1, "Saturation factor between 1 - this and 1 + this.", ge=0, le=2, ours="re_identification"
    )
    hue: float = key(
        0.1,
        "Hue shift between minus this and this, in turns of the colour circle.",
        ge=0,
        le=0.5,
        ours="re_identification",
    )


class ImagesSpec(Section):
    """Pixel values, augmentation, and how sources are fetched and kept."""

    pixel_mean: tuple[float, float, float] = key(
        (0.485, 0.456, 0.406), "Mean of the red, green and blue values, as fractions.", automl=False
    )
    pixel_std: tuple[_Deviation, _Deviation, _Deviation] = key(
        (0.226, 0.226, 0.226), "Standard deviation of the red, green and blue values, as fractions.", automl=False
    )
    prob: float = key(0.5, "Probability of mirroring a training image.", ge=0, le=1)
    re_prob: float = key(0.5, "Probability of erasing a random rectangle of a training image.", ge=0, le=1)
    color_augmentation: ColorAugmentationSpec = ColorAugmentationSpec()
    keep_on_gpu: Literal["auto", "on", "off"] = key(
        "auto",
        "Keep the decoded training images in the GPU's memory and read no batch from the host; auto: where they take "
        "less than half of what is free.",
        ours=True,
    )
    cache_dir: str = key("", "Folder of fetched archives and packed images; empty: the user's cache folder.", ours=True)
    on_bad_image: Literal["skip", "error"] = key(
        "skip", "What an unreadable image does: skip counts and names it, error stops.", ours=True
    )
    max_archive_gb: float = key(200.0, "Most that one archive may unpack to, gigabytes.", gt=0, ours=True)

    @property
    def max_archive_bytes(self) -> int:
        """`max_archive_gb` in bytes."""
        return int(self.max_archive_gb * BYTES_PER_GB)


class ReRankingSpec(Section):
    """k-reciprocal re-ranking, and the size of the evaluation's plots."""

    re_ranking: bool = key(
        False, "Re-rank matches in validation and evaluation. Often moves mAP by several points.", ours="ml_recog"
    )
    k1: int = key(
        20,
        "Neighbours that must agree in both directions.",
        ge=1,
        tao_bounds=(20, 20),
        popular=True,
        ours="ml_recog",
    )
    k2: int = key(
        6, "Neighbours averaged to expand each query.", ge=1, tao_bounds=(6, 6), popular=True, ours="ml_recog"
    )
    lambda_value: float = key(
        0.3,
        "Weight of the original distance; the rest is Jaccard.",
        ge=0,
        le=1,
        tao_bounds=(0, 0.3),
        ours="ml_recog",
    )
    max_rank: int = key(
        10,
        "Last rank of the CMC curve, and columns of the match plot.",
        ge=1,
        tao_bounds=(10, 10),
        popular=True,
        ours="ml_recog",
    )
    num_query: int = key(
        10, "Queries shown in the match plot.", ge=1, tao_bounds=(10, 10), popular=True, ours="ml_recog"
    )
