"""AutoAugment's ImageNet policy on whole batches, on the device that trains: each image has its own draw.

Source: Cubuk et al., AutoAugment: Learning Augmentation Strategies from Data, CVPR 2019, the policy found on reduced
ImageNet. Magnitudes mean what they mean in torchvision: 0 changes nothing and 9 is the end of the range, in a random
direction where an operation has two. In the authors' own code colour factors run from 0.1 to 1.9 instead, so that
magnitude 0 is nearly grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Operation(NamedTuple):
    """One half of a sub-policy.

    Attributes:
        name: see `NAMES`.
        prob: probability that it is applied.
        magnitude: 0 to 9; it means nothing to operations without a range.
    """

    name: str
    prob: float
    magnitude: int = 0


_EQUALIZE, _AUTO_CONTRAST, _INVERT = "equalize", "auto_contrast", "invert"
POLICY: tuple[tuple[Operation, Operation], ...] = tuple(
    (Operation(*first), Operation(*second))
    for first, second in (
        (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
        (("solarize", 0.6, 5), (_AUTO_CONTRAST, 0.6)),
        ((_EQUALIZE, 0.8), (_EQUALIZE, 0.6)),
        (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
        ((_EQUALIZE, 0.4), ("solarize", 0.2, 4)),
        ((_EQUALIZE, 0.4), ("rotate", 0.8, 8)),
        (("solarize", 0.6, 3), (_EQUALIZE, 0.6)),
        (("posterize", 0.8, 5), (_EQUALIZE, 1.0)),
        (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
        ((_EQUALIZE, 0.6), ("posterize", 0.4, 6)),
        (("rotate", 0.8, 8), ("color", 0.4, 0)),
        (("rotate", 0.4, 9), (_EQUALIZE, 0.6)),
        ((_EQUALIZE, 0.0), (_EQUALIZE, 0.8)),
        ((_INVERT, 0.6), (_EQUALIZE, 1.0)),
        (("color", 0.6, 4), ("contrast", 1.0, 8)),
        (("rotate", 0.8, 8), ("color", 1.0, 2)),
        (("color", 0.8, 8), ("solarize", 0.8, 7)),
        (("sharpness", 0.4, 7), (_INVERT, 0.6)),
        (("shear_x", 0.6, 5), (_EQUALIZE, 1.0)),
        (("color", 0.4, 0), (_EQUALIZE, 0.6)),
        ((_EQUALIZE, 0.4), ("solarize", 0.2, 4)),
        (("solarize", 0.6, 5), (_AUTO_CONTRAST, 0.6)),
        ((_INVERT, 0.6), (_EQUALIZE, 1.0)),
        (("color", 0.6, 4), ("contrast", 1.0, 8)),
        ((_EQUALIZE, 0.8), (_EQUALIZE, 0.6)),
    )
)
"""The 25 sub-policies; some stand twice, and one half has probability 0, in the source as well."""

NAMES = tuple(sorted({operation.name for pair in POLICY for operation in pair}))

_RANGES = {
    "rotate": (0.0, 30.0),  # degrees
    "shear_x": (0.0, 0.3),  # columns for each row
    "color": (0.0, 0.9),  # added to the factor 1
    "contrast": (0.0, 0.9),
    "sharpness": (0.0, 0.9),
    "posterize": (8.0, 4.0),  # bits that are kept
    "solarize": (255.0, 0.0),  # values from here on are inverted
}
"""What magnitudes 0 and 9 mean."""

_SIGNED = {"rotate", "shear_x", "color", "contrast", "sharpness"}


@dataclass(frozen=True)
class Operations:
    """What happens to each image of a batch, in two steps.

    Attributes:
        kind: int64 [B, 2], place in `NAMES`; -1 for nothing.
        strength: float32 [B, 2], in the unit of the operation.
    """

    kind: Tensor
    strength: Tensor

    def rows(self, part: slice) -> Operations:
        """Those of some images of the batch."""
        return Operations(self.kind[part], self.strength[part])


@dataclass(frozen=True)
class AutoAugment:
    """Changes a share of the images by one sub-policy each, chosen uniformly.

    Attributes:
        prob: probability that an image gets a sub-policy, whose halves are then applied by their own probabilities.
    """

    prob: float

    def draw(self, batch: int, generator: torch.Generator) -> Operations:
        """The random numbers of a batch; the generator is on the CPU."""
        chosen = torch.rand(batch, generator=generator) < self.prob
        pair = torch.randint(len(POLICY), (batch,), generator=generator)
        applied = torch.rand(batch, 2, generator=generator) < _PROB[pair]
        sign = 1.0 - 2.0 * torch.randint(2, (batch, 2), generator=generator)
        strength = _STRENGTH[pair]
        return Operations(
            kind=torch.where(chosen[:, None] & applied, _KIND[pair], -1),
            strength=torch.where(_IS_SIGNED[pair], strength * sign, strength),
        )

    def __call__(self, images: Tensor, operations: Operations) -> Tensor:
        """uint8 [B, H, W, 3] to the same; each operation is done to all images that want it at once."""
        from reid.data.image_operations import apply  # torchvision takes seconds to import, and few trainings need it

        for step in (0, 1):
            kind, strength = operations.kind[:, step], operations.strength[:, step]
            order = kind.argsort(stable=True)
            counts = torch.bincount(kind + 1, minlength=len(NAMES) + 1).tolist()
            _, *rows = torch.split(order.to(images.device, non_blocking=True), counts)  # the first part wants nothing
            _, *strengths = torch.split(strength[order].to(images.device, non_blocking=True), counts)
            results = [
                apply(name, images.index_select(0, some), how_much)
                for name, some, how_much in zip(NAMES, rows, strengths, strict=True)
                if len(some)
            ]
            if results:
                images = images.index_copy(0, torch.cat(rows), torch.cat(results))
        return images


def _strength(operation: Operation) -> float:
    """What its magnitude means, without the sign."""
    low, high = _RANGES.get(operation.name, (0.0, 0.0))
    value = low + (high - low) * operation.magnitude / 9
    return float(round(value)) if operation.name == "posterize" else value


_KIND = torch.tensor([[NAMES.index(operation.name) for operation in pair] for pair in POLICY])
_PROB = torch.tensor([[operation.prob for operation in pair] for pair in POLICY])
_STRENGTH = torch.tensor([[_strength(operation) for operation in pair] for pair in POLICY])
_IS_SIGNED = torch.tensor([[operation.name in _SIGNED for operation in pair] for pair in POLICY])
