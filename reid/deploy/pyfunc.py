"""The served model: pictures in, embeddings out, with the preprocessing of training.

This one file travels inside every registered model, and is loaded by MLflow where this package is not installed:
numpy, pillow and onnxruntime are all it may import.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

BATCH_SIZE = 32
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def _load_pyfunc(data_path: str) -> Embedder:  # MLflow calls a loader module by this name
    return Embedder(Path(data_path))


class Embedder:
    """Embeddings of pictures by an exported network.

    Args:
        folder: holds `model.onnx` and `model.json`, as `export` writes them.
    """

    def __init__(self, folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self._preprocess: dict[str, Any] = card["preprocess"]
        self.embedding_size: int = card["output"]["size"]
        available = set(onnxruntime.get_available_providers())
        self._session = onnxruntime.InferenceSession(
            str(folder / card["file"]), providers=[name for name in _PROVIDERS if name in available]
        )
        self._input, self._output = card["input"]["name"], card["output"]["name"]

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Embeddings, float32 [N, D], in the order of the pictures; [0, D] for none.

        Args:
            model_input: paths of images; a frame or dict with a column `image`; integers 0..255 [N, h, w, 3] or one
                [h, w, 3] in RGB; or a list that mixes paths, encoded files (bytes, or `data:image/...;base64,` texts)
                and [h, w, 3] arrays of any sizes.
            params: `normalise`: true gives each embedding the length 1. Default false, as `inference` writes them.

        Raises:
            ValueError: an input of another kind, or an image that cannot be read; the message names it.
        """
        pictures = _pictures(model_input)
        embeddings = np.empty((len(pictures), self.embedding_size), dtype=np.float32)
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = np.stack([self._prepared(picture) for picture in pictures[start : start + BATCH_SIZE]])
            embeddings[start : start + len(batch)] = self._session.run([self._output], {self._input: batch})[0]
        if (params or {}).get("normalise", False):
            embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        return embeddings

    def _prepared(self, picture: Any) -> NDArray[np.float32]:
        """One picture as float32 [3, H, W], resized, its middle cut out, and normalised."""
        rule = self._preprocess
        height, width, resize = rule["height"], rule["width"], rule.get("resize_factor", 1.0)
        rows, columns = round(resize * height), round(resize * width)
        resized = np.asarray(_opened(picture).resize((columns, rows), _RESAMPLING[rule["interpolation"]]))
        top, left = round((rows - height) / 2), round((columns - width) / 2)
        middle = np.asarray(resized[top : top + height, left : left + width], dtype=np.float32)
        values = middle / np.float32(255.0)  # [H, W, 3]
        normalised = (values - np.float32(rule["mean"])) / np.float32(rule["std"])
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))


def _pictures(model_input: Any) -> Sequence[Any]:
    """The input as a sequence of single pictures."""
    if hasattr(model_input, "columns") or isinstance(model_input, dict):
        names = [str(name) for name in model_input]
        if "image" not in names:
            raise ValueError(f"no column 'image' among {names}. Put the paths or encoded images in a column 'image'.")
        column = model_input["image"]
        return _pictures(column.tolist() if hasattr(column, "tolist") else column)
    if isinstance(model_input, str | bytes | Path | Image.Image):
        return [model_input]
    if isinstance(model_input, np.ndarray) and model_input.dtype != object:
        if model_input.dtype.kind in "US":
            return list(model_input.reshape(-1))
        if model_input.ndim == 4:
            return list(model_input)
        return [model_input]
    if isinstance(model_input, np.ndarray | Sequence):
        return list(model_input)
    raise ValueError(
        f"cannot make pictures of {type(model_input).__name__}. Give paths, uint8 arrays [h, w, 3] or [N, h, w, 3], "
        "or a frame with a column 'image'."
    )


def _opened(picture: Any) -> Image.Image:
    """One picture decoded to RGB; a rotation noted in the file's EXIF is ignored, as in training."""
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    if isinstance(picture, str) and picture.startswith("data:"):
        picture = base64.b64decode(picture.partition(",")[2])
    if isinstance(picture, str | Path | bytes):
        name = f"{len(picture)} bytes" if isinstance(picture, bytes) else str(picture)
        try:
            with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
                return image.convert("RGB")
        except Exception as error:  # Pillow's decoders raise SyntaxError, struct.error, ... on damaged bytes
            raise ValueError(f"{name} cannot be read as an image: {error}. Give a whole JPEG, PNG or WebP.") from error
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape or array.dtype.kind not in "ui":
        raise ValueError(
            f"an array of shape {list(array.shape)} and type {array.dtype} is no picture. "
            "Give integers 0..255 of shape [h, w, 3], colours in the order red, green, blue, not scaled."
        )
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"pixel values go from {array.min()} to {array.max()}. Give integers 0..255, not normalised.")
    return Image.fromarray(array.astype(np.uint8))
