"""From the bytes of an image file to the pixels a network sees: the one rule that training and inference share.

Pillow decodes to RGB and resizes without keeping the aspect ratio; an EXIF orientation is ignored, as TAO ignores it.
Where the rule says so, the image is resized to more than the input size, and its middle is taken.
OpenCV's and Pillow's "bilinear" give different pixels, so nothing in this project decodes or resizes in another way.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reid.errors import DataError

Interpolation = Literal["bilinear", "bicubic"]
Pixels = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""Lower case; compare with `path.suffix.lower()`."""

RULE = "pillow-rgb-1"
"""Part of the keys of what is cached: a new value whenever `load_image` would give other pixels, or refuse others."""

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the input of a network: RGB, resized, cropped, scaled to [0, 1], minus mean, divided by std.

    Attributes:
        height: pixels.
        width: pixels.
        interpolation: Pillow's filter of that name (with its antialiasing when an image is made smaller).
        mean: of red, green, blue, on the scale [0, 1].
        std: of red, green, blue, on the scale [0, 1]; above 0.
        resize: images are resized to this multiple of height and width, each rounded to whole pixels (of two equally
            near to the even one), and height x width in the middle are cut out; 1 cuts nothing off.

    Raises:
        DataError: a size below 1, an unknown interpolation, a std of 0 or less, or a resize below 1.
    """

    height: int
    width: int
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: float = 1.0

    def load(self, path: Path) -> Pixels:
        """`load_image` by this rule."""
        return load_image(
            path, height=self.height, width=self.width, interpolation=self.interpolation, resize=self.resize
        )

    @property
    def uncropped(self) -> Preprocess:
        """The same without the crop: resized images as a whole, out of which training cuts its own parts."""
        height, width = resized_size(self.height, self.width, self.resize)
        return replace(self, height=height, width=width, resize=1.0)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise DataError(
                f"the input size is {self.height}x{self.width} pixels",
                "an image needs at least one row and one column",
                "set model.input_height and model.input_width, for example 256 and 128",
            )
        if self.interpolation not in _RESAMPLING:
            raise DataError(f"the interpolation is {self.interpolation!r}", "", f"choose one of {sorted(_RESAMPLING)}")
        if not self.resize >= 1:
            raise DataError(
                f"images would be resized to {self.resize} times the input size",
                "the part that is cut out of them would be larger than they are",
                "give 1, or a little more",
            )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise DataError(
                f"mean is {self.mean} and std is {self.std}",
                "each needs three numbers (red, green, blue), and pixels are divided by std",
                "set dataset.pixel_mean and dataset.pixel_std, for example [0.5, 0.5, 0.5] and [0.25, 0.25, 0.25]",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` gives an equal object back.

        `resize` is called `resize_factor` there: an exported model's card says by which program it is resized.
        """
        values = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        values["resize_factor"] = values.pop("resize")
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocess:
        """Reads what `to_dict` wrote.

        Raises:
            DataError: a value is missing or is not of its kind.
        """
        try:
            return cls(
                height=int(values["height"]),
                width=int(values["width"]),
                interpolation=values["interpolation"],
                mean=_three(values["mean"]),
                std=_three(values["std"]),
                resize=float(values.get("resize_factor", 1.0)),  # files of earlier versions do not have it
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a stored preprocessing cannot be read: {type(error).__name__}: {error}; it is {values!r}",
                "height, width, interpolation, mean and std are all needed",
                "write the file again with the action that made it",
            ) from error


def is_image(path: Path) -> bool:
    """Whether the name ends like an image's (`IMAGE_SUFFIXES`, any case)."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def load_image(path: Path, *, height: int, width: int, interpolation: Interpolation, resize: float = 1.0) -> Pixels:
    """Decodes and resizes one file to uint8 [H, W, 3], RGB; of an image that is `resize` times as large the middle.

    Raises:
        DataError: the file is missing, truncated or no image; it is named.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror})", "", "check that the file is there and readable"
        ) from error
    image = decode(data, name=str(path))
    rows, columns = resized_size(height, width, resize)
    resized = np.asarray(image.resize((columns, rows), _RESAMPLING[interpolation]), dtype=np.uint8)
    top, left = round((rows - height) / 2), round((columns - width) / 2)  # torchvision's center_crop
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def resized_size(height: int, width: int, resize: float) -> tuple[int, int]:
    """Height and width of a resized image out of which height x width are cut: whole pixels, rounded."""
    return round(resize * height), round(resize * width)


def decode(data: bytes, *, name: str) -> Image.Image:
    """Decodes the bytes of an image file completely, to RGB in its own size.

    Args:
        name: what an error calls the image.

    Raises:
        DataError: the bytes are truncated, damaged, no image, or of more pixels than Pillow deems safe.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise SyntaxError, struct.error, ... on damaged bytes
        # Pillow appends the address of its buffer, which differs from run to run.
        reason = str(error).split("<_io.", 1)[0].strip() or type(error).__name__
        raise DataError(
            f"{name} is not a readable image ({len(data)} bytes; {reason})",
            "every pixel is needed, and a truncated or damaged file does not have them",
            "restore the file from its source, or leave it out with dataset.on_bad_image=skip",
        ) from error


def pixel_scale(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """Scale and shift by which pixels become network input, channel by channel: pixel * scale + shift.

    That is (pixel / 255 - mean) / std with one multiplication; numpy uses it here and torch in `augment`.
    """
    return [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]


def normalise(images: Pixels, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """uint8 [B, H, W, 3] to float32 [B, 3, H, W], by `pixel_scale`."""
    scale, shift = (np.asarray(values, dtype=np.float32) for values in pixel_scale(mean, std))
    return np.ascontiguousarray((images * scale + shift).transpose(0, 3, 1, 2))  # [B, H, W, 3] * [3] + [3]


def _three(values: Any) -> tuple[float, float, float]:
    return cast(tuple[float, float, float], tuple(float(value) for value in values))
