"""The `dataset` block of re_identification: which images are read, and how they are batched."""

from __future__ import annotations

from typing import Literal

from reid.spec.base import Section, key
from reid.spec.data import ImagesSpec


class SourcesSpec(Section):
    """Sources and batches; a section of its own so that these keys come first."""

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
    sampler: Literal["softmax", "triplet", "softmax_triplet"] = key(
        "softmax_triplet", "Losses used: identity only, triplet only, or both. Batches are P x K in every case."
    )
    num_instances: int = key(
        4, "Images of each identity in a batch (K); must divide batch_size.", ge=2, tao_bounds=(4, None), popular=True
    )
    more_train_dataset_dirs: tuple[str, ...] = key(
        (),
        "Further sources of training images, merged with train_dataset_dir; their identities and cameras are other "
        "people and other cameras, whatever their numbers.",
        ours=True,
    )


class DatasetSpec(ImagesSpec, SourcesSpec):
    """Sources, batches and training augmentation."""

    padding: int = key(10, "Pixels added around a training image before the random crop.", ge=0, tao_bounds=(0, 10))
    camera_balanced: bool = key(
        False, "Draw the images of an identity in a batch from as many of its cameras as there are.", ours=True
    )
    auto_augment_prob: float = key(
        0.0, "Probability that a training image is changed by AutoAugment's ImageNet policy.", ge=0, le=1, ours=True
    )
    recursive: bool = key(False, "Read images in subfolders too.", ours=True)
