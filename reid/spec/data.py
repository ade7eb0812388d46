"""The `dataset` and `re_ranking` blocks: which images are read, how they are batched, and how matches are re-ranked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reid.spec.base import Section, key

_Deviation = Annotated[float, Field(gt=0)]


class ColorAugmentationSpec(Section):
    """Colour jitter of training images; the keys are those of TAO's ml_recog."""

    enabled: bool = key(False, "Jitter the colours of training images, each image by its own draw.", ours=True)
    brightness: float = key(0.5, "Brightness factor between 1 - this and 1 + this.", ge=0, le=2, ours=True)
    contrast: float = key(0.3, "Contrast factor between 1 - this and 1 + this.", ge=0, le=2, ours=True)
    saturation: float = key(0.1, "Saturation factor between 1 - this and 1 + this.", ge=0, le=2, ours=True)
    hue: float = key(
        0.1, "Hue shift between minus this and this, in turns of the colour circle.", ge=0, le=0.5, ours=True
    )


class DatasetSpec(Section):
    """Sources, batches and training augmentation."""

    train_dataset_dir: str = key(
        "", "Training images: a folder, .tar, .tar.gz, .zip, or a file://, https:// or s3:// URI."
    )
    test_dataset_dir: str = key("", "Gallery images for validation; the same kinds of sources.")
    query_dataset_dir: str = key("", "Query images for validation; the same kinds of sources.")
    num_classes: int = key(
        751,
        "Number of training identities.",
        ge=1,
        popular=True,
        no_effect="counted in the training images, and read from the checkpoint afterwards",
    )
    batch_size: int = key(64, "Training images in a batch, all GPUs together.", ge=1, popular=True)
    val_batch_size: int = key(128, "Images in a batch of validation, evaluation and inference.", ge=1, popular=True)
    num_workers: int = key(8, "Threads that check and decode images; 0 is 1.", ge=0, tao_bounds=(1, None), popular=True)
    pixel_mean: tuple[float, float, float] = key(
        (0.485, 0.456, 0.406), "Mean of the red, green and blue values, as fractions.", automl=False
    )
    pixel_std: tuple[_Deviation, _Deviation, _Deviation] = key(
        (0.226, 0.226, 0.226), "Standard deviation of the red, green and blue values, as fractions.", automl=False
    )
    padding: int = key(10, "Pixels added around a training image before the random crop.", ge=0, tao_bounds=(0, 10))
    prob: float = key(0.5, "Probability of mirroring a training image.", ge=0, le=1)
    re_prob: float = key(0.5, "Probability of erasing a random rectangle of a training image.", ge=0, le=1)
    sampler: Literal["softmax", "triplet", "softmax_triplet"] = key(
        "softmax_triplet", "Losses used: identity only, triplet only, or both. Batches are P x K in every case."
    )
    num_instances: int = key(
        4, "Images of each identity in a batch (K); must divide batch_size.", ge=2, tao_bounds=(4, None), popular=True
    )
    color_augmentation: ColorAugmentationSpec = ColorAugmentationSpec()
    more_train_dataset_dirs: tuple[str, ...] = key(
        (),
        "Further sources of training images, merged with train_dataset_dir; their identities and cameras are other "
        "people and other cameras, whatever their numbers.",
        ours=True,
    )
    camera_balanced: bool = key(
        False, "Draw the images of an identity in a batch from as many of its cameras as there are.", ours=True
    )
    auto_augment_prob: float = key(
        0.0, "Probability that a training image is changed by AutoAugment's ImageNet policy.", ge=0, le=1, ours=True
    )
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
    recursive: bool = key(False, "Read images in subfolders too.", ours=True)


class ReRankingSpec(Section):
    """k-reciprocal re-ranking, and the size of the evaluation's plots."""

    re_ranking: bool = key(False, "Re-rank matches in validation and evaluation. Often moves mAP by several points.")
    k1: int = key(20, "Neighbours that must agree in both directions.", ge=1, tao_bounds=(20, 20), popular=True)
    k2: int = key(6, "Neighbours averaged to expand each query.", ge=1, tao_bounds=(6, 6), popular=True)
    lambda_value: float = key(
        0.3, "Weight of the original distance; the rest is Jaccard.", ge=0, le=1, tao_bounds=(0, 0.3)
    )
    max_rank: int = key(
        10, "Last rank of the CMC curve, and columns of the match plot.", ge=1, tao_bounds=(10, 10), popular=True
    )
    num_query: int = key(10, "Queries shown in the match plot.", ge=1, tao_bounds=(10, 10), popular=True)
