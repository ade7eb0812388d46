"""A trained network computed by onnxruntime in place of torch: converted once, cached, checked before each use."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reid.data.cache import cache_errors, exclusive, key_of
from reid.data.images import Preprocess, normalise
from reid.deploy.onnx import export_onnx
from reid.deploy.package import read_export
from reid.deploy.parity import INPUT, OUTPUT, compare
from reid.errors import ExportError

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference of a value of an embedding, as a share of the largest value where that is above 1."""

_PACKAGES = ("torch", "timm", "onnxruntime")


class OnnxNetwork(nn.Module):
    """Maps normalised images float32 [B, 3, H, W] on the CPU to embeddings float32 [B, D], as the network it came from.

    Args:
        path: the ONNX file.
        threads: that compute.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings."""
        return torch.from_numpy(self._session.run([OUTPUT], {INPUT: images.contiguous().numpy()})[0])


def in_onnxruntime(
    network: nn.Module,
    *,
    facts: Mapping[str, Any],
    preprocess: Preprocess,
    pictures: NDArray[np.uint8],
    cache_dir: Path,
    threads: int,
) -> OnnxNetwork:
    """The network in onnxruntime: from the cache, where the same was converted before, else converted and kept.

    Args:
        network: on the CPU, in evaluation mode.
        facts: plain values that say which network it is, such as its checkpoint's SHA-256; with the packages' versions
            they name the entry `<cache_dir>/engines/<key>.onnx`.
        preprocess: of its pictures.
        pictures: uint8 [N, H, W, 3], a few of those that shall be embedded; both are compared on them.
        cache_dir: the cache.
        threads: that compute.

    Raises:
        ExportError: it cannot be converted, or computes something else then.
        StorageError: the cache is full or not writable.
    """
    versions = {name: metadata.version(name) for name in _PACKAGES}
    names = json.dumps({**facts, **preprocess.to_dict(), **versions}, sort_keys=True)
    path = cache_dir / "engines" / f"{key_of(names)}.onnx"
    with exclusive(path), cache_errors(path):
        if _is_whole(path):
            _require_equal(network, path, normalise(pictures, preprocess.mean, preprocess.std))
        else:
            export_onnx(network, path, preprocess=preprocess, images=pictures, tolerance=TOLERANCE)
    return OnnxNetwork(path, threads=threads)


def multiplications(network: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of one image's way through the network, as far as convolutions and matrices go."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(torch.zeros(1, 3, height, width))
    return counter.get_total_flops() // 2


def _is_whole(path: Path) -> bool:
    try:
        read_export(path)
    except ExportError:
        return False
    return True


def _require_equal(network: nn.Module, path: Path, inputs: NDArray[np.float32]) -> None:
    parity, _ = compare(network, path, inputs, tolerance=TOLERANCE)
    if not parity.within_tolerance:
        raise ExportError(
            f"{path} differs from the network by up to {parity.max_abs_difference:.2e} (allowed {TOLERANCE:.0e})",
            f"{parity.images} pictures of this set were compared",
            "remove the file, or set embedding_engine=torch",
        )
