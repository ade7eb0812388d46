"""Colour jitter of whole batches: brightness, contrast, saturation and hue as one 3 x 3 matrix and a shift per image.

All four are linear in the pixel, so that a batch costs one small matrix product whatever is switched on. Hue turns the
chrominance plane of YIQ (the FCC's NTSC matrix); the others blend with black, the image's mean grey, and grey.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reid.data.placing import constant, sent

_GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class ColourJitter:
    """How far the colours of a training image may move; each image has its own draw.

    Attributes:
        brightness: factor drawn from [max(0, 1 - b), 1 + b].
        contrast: likewise, about the image's mean grey.
        saturation: likewise, 0 being grey.
        hue: turn drawn from [-h, h], in whole turns; at most 0.5.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    @staticmethod
    def draw(batch: int, generator: torch.Generator) -> Tensor:
        """float [4, B] in [0, 1): brightness, contrast, saturation and hue of each image."""
        return torch.rand(4, batch, generator=generator)

    def __call__(self, images: Tensor, u: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to float32 [B, H, W, 3] in [0, 255], by tensor operations.

        Args:
            images: on any device.
            u: what `draw` gave.
        """
        pixels = images.float()
        matrix, shift = self.maps(pixels.mean(dim=(1, 2)), u)
        moved = pixels.flatten(1, 2) @ matrix.transpose(1, 2)  # [B, HW, 3] x [B, 3, 3]
        jittered: Tensor = (moved + shift[:, None, None]).clamp_(0, 255)
        return jittered.view(pixels.shape)

    def maps(self, mean_colour: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The matrix [B, 3, 3] and the shift [B] that turn the pixels of each image into jittered ones.

        Args:
            mean_colour: float [B, 3], mean red, green and blue of each image.
            u: what `draw` gave.
        """
        device = mean_colour.device
        brightness, contrast, saturation = (
            max(0.0, 1 - span) + u[i] * (1 + span - max(0.0, 1 - span))
            for i, span in enumerate((self.brightness, self.contrast, self.saturation))
        )
        turn = (2 * u[3] - 1) * self.hue * 2 * math.pi
        grey = torch.tensor(_GREY)
        matrix = _hue_matrix(turn) @ _saturation_matrix(saturation, grey)  # [B, 3, 3]
        matrix = matrix * (brightness * contrast)[:, None, None]
        mean_grey = (mean_colour * constant(_GREY, device)).sum(dim=1)  # [B], before the brightness factor
        return sent(matrix, device), mean_grey * sent(brightness * (1 - contrast), device)


def _saturation_matrix(factor: Tensor, grey: Tensor) -> Tensor:
    """[B, 3, 3]: factor times the colour plus the rest of its grey."""
    return factor[:, None, None] * torch.eye(3) + (1 - factor)[:, None, None] * grey.expand(3, 3)


def _hue_matrix(turn: Tensor) -> Tensor:
    """[B, 3, 3]: a rotation of the chrominance plane by `turn` radians."""
    to_yiq = torch.tensor(_TO_YIQ)
    cos, sin, zero, one = turn.cos(), turn.sin(), torch.zeros_like(turn), torch.ones_like(turn)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
    turned: Tensor = torch.linalg.inv(to_yiq) @ rotation @ to_yiq
    return turned
