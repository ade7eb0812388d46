"""Whether an ONNX file computes what the network computes: both are run on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

INPUT = "input"
OUTPUT = "fc_pred"
"""TAO's names of the file's input and output."""


@dataclass(frozen=True)
class Parity:
    """How well the file agrees with the network, over batches of 1, of 3 and of all images.

    Attributes:
        images: number of pictures compared.
        batches: the batch sizes tried.
        max_abs_difference: largest absolute difference of any value of any embedding.
        max_abs_embedding: largest absolute value of the network's embeddings, the scale of that difference.
        min_cosine: smallest cosine between the two embeddings of one picture.
        tolerance: what was allowed: `max_abs_difference <= tolerance * max(1, max_abs_embedding)`.
        provider: onnxruntime's execution provider.
    """

    images: int
    batches: tuple[int, ...]
    max_abs_difference: float
    max_abs_embedding: float
    min_cosine: float
    tolerance: float
    provider: str

    @property
    def within_tolerance(self) -> bool:
        """False for a difference that is too large or not a number."""
        return self.max_abs_difference <= self.tolerance * max(1.0, self.max_abs_embedding)


def compare(network: nn.Module, path: Path, inputs: NDArray[np.float32], *, tolerance: float) -> tuple[Parity, int]:
    """Runs both on batches of 1, 3 and all pictures; fewer than three are repeated to make three.

    Args:
        network: on the CPU, in evaluation mode.
        path: the ONNX file, with `INPUT` and `OUTPUT`.
        inputs: float32 [N, 3, H, W], normalised, N >= 1.
        tolerance: see `Parity`.

    Returns:
        How well they agree, and the number of values in an embedding.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference, scale, cosine, size = 0.0, 0.0, 1.0, 0
    batches = tuple(dict.fromkeys((1, 3, len(inputs))))
    for count in batches:
        batch = np.resize(inputs, (count, *inputs.shape[1:]))
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch)).numpy().astype(np.float64)  # [B, D]
        got = session.run([OUTPUT], {INPUT: batch})[0].astype(np.float64)
        size = expected.shape[1]
        norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
        difference = float(np.maximum(difference, np.abs(expected - got).max()))  # np.maximum keeps NaN
        scale = max(scale, float(np.abs(expected).max()))
        cosine = float(np.minimum(cosine, ((expected * got).sum(axis=1) / np.maximum(norms, 1e-24)).min()))
    parity = Parity(len(inputs), batches, difference, scale, cosine, tolerance, session.get_providers()[0])
    return parity, size
