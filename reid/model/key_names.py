"""By which names messages about a training call the keys that the user set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyNames:
    """Dotted keys, and what their numbers mean.

    Attributes:
        batch_size: of training images.
        val_batch_size: of validation images.
        num_instances: images of each identity in a batch.
        grad_clip: largest norm of the gradient.
        batch_share: how many times the number in `batch_size` a batch is, all processes together.
        nouns: what identities are called.
    """

    batch_size: str = "dataset.batch_size"
    val_batch_size: str = "dataset.val_batch_size"
    num_instances: str = "dataset.num_instances"
    grad_clip: str = "train.grad_clip"
    batch_share: int = 1
    nouns: str = "identities"

    def batch_of(self, images: int) -> str:
        """The setting that makes batches of so many images in all, as `key=value`."""
        return f"{self.batch_size}={images // self.batch_share}"
