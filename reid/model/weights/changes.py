"""What must be done to the numbers of a tensor, beside its name, when it comes from another program."""

from __future__ import annotations

from torch import Tensor

_PIXELS = (0, 2, 1, 3)
"""timm's pixel k of a 2x2 patch is Unfold's pixel _PIXELS[k]: timm goes down the columns, Unfold along the rows."""


def merging_matrix(weight: Tensor) -> Tensor:
    """The reduction of patch merging, float [out, 4 C], from Unfold's order of its inputs to timm's.

    Unfold (mmseg, SOLIDER) puts the four pixels of a channel side by side; Swin's authors and timm put the channels of
    a pixel side by side.
    """
    out, inputs = weight.shape
    by_pixel = weight.reshape(out, inputs // 4, 4).transpose(1, 2)  # [out, C, 4] -> [out, 4, C]
    return by_pixel[:, list(_PIXELS)].reshape(out, inputs)


def merging_vector(vector: Tensor) -> Tensor:
    """The norm before that reduction, float [4 C], likewise."""
    return merging_matrix(vector[None])[0]


def as_linear(convolution: Tensor) -> Tensor:
    """A 1x1 convolution, float [out, in, 1, 1], as the matrix of a linear layer [out, in]."""
    return convolution.flatten(1)


def as_vector(scale: Tensor) -> Tensor:
    """float [C, 1, 1] as [C]."""
    return scale.flatten()


def as_scalar(one: Tensor) -> Tensor:
    """float [1] as []."""
    return one.reshape(())
