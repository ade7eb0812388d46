"""Writes a network as ONNX, and lets the file have its name only when it computes what the network computes."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from reid.data.images import Preprocess, normalise
from reid.deploy.parity import INPUT, OUTPUT, Parity, compare
from reid.errors import ExportError
from reid.files import sha256_of, storage_errors, write_json

log = logging.getLogger(__name__)

_PACKAGES = ("torch", "timm", "onnx", "onnxscript", "onnxruntime")
_CHATTER = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_onnx(
    network: nn.Module,
    path: Path,
    *,
    preprocess: Preprocess,
    images: NDArray[np.uint8],
    opset: int = 18,
    metadata: Mapping[str, str] | None = None,
    tolerance: float = 1e-4,
    weights_beside: bool = False,
) -> Parity:
    """Exports, checks with onnxruntime on real pictures, then replaces `path` and its `.json` in one step each.

    The network is copied to the CPU in float32 and evaluation mode; the caller's stays as it is. An existing file is
    replaced (TAO refuses), as a pipeline must be able to run again. Only the batch is dynamic.

    Args:
        network: float32 [B, 3, H, W], normalised, to embeddings [B, D].
        path: the `.onnx` file. Networks above 2 GB, ONNX's limit, keep their weights beside it in `<name>.data`.
        preprocess: from picture to network input; stored in the file's metadata (`preprocess`) and in the `.json`.
        images: uint8 [N, H, W, 3] real pictures at the network's size, RGB, N >= 1.
        opset: ONNX operator set.
        metadata: further facts to store in both places, such as the checkpoint's SHA-256.
        tolerance: see `Parity`.
        weights_beside: keep the weights beside the file whatever their size.

    Raises:
        ExportError: torch cannot export the network or not for this opset, or the file computes something else.
        StorageError: the disk is full.
    """
    _require_pictures(images, preprocess)
    started = time.monotonic()
    original = copy.deepcopy(network).float().cpu().to(memory_format=torch.contiguous_format).eval()
    facts = {"preprocess": json.dumps(preprocess.to_dict()), "versions": json.dumps(_versions()), **(metadata or {})}
    with _beside(path) as temporary:
        _export(original, temporary, preprocess, opset, facts, weights_beside)
        inputs = normalise(images, preprocess.mean, preprocess.std)
        parity, embedding_size = compare(original, temporary, inputs, tolerance=tolerance)
        if not parity.within_tolerance:
            raise ExportError(
                f"the exported network differs from the trained one by up to {parity.max_abs_difference:.2e} "
                f"(allowed {tolerance:.0e}; smallest cosine {parity.min_cosine:.6f}, {parity.images} pictures)",
                "its embeddings would not be those that were evaluated; nothing was written",
                "try another export.opset_version, or report the network and the versions of torch and onnxruntime",
            )
        card = {
            "format": 1,
            "file": path.name,
            "sha256": sha256_of(temporary),
            "input": {"name": INPUT, "type": "float32", "shape": ["batch", 3, preprocess.height, preprocess.width]},
            "output": {"name": OUTPUT, "type": "float32", "size": embedding_size, "normalised": False},
            "preprocess": {
                **preprocess.to_dict(),
                "colours": "RGB",
                "scale": "1/255",
                "resize": "pillow",
                "layout": "NCHW",
            },
            "opset": opset,
            "parity": asdict(parity),
            "versions": _versions(),
            "metadata": dict(metadata or {}),
        }
        _publish(temporary, path)
        write_json(path.with_suffix(".json"), card)
    log.info(
        "wrote %s: %d values an embedding, largest difference %.1e over %d pictures, %.1f s",
        path, embedding_size, parity.max_abs_difference, parity.images, time.monotonic() - started,
    )  # fmt: skip
    return parity


def _export(
    network: nn.Module, path: Path, preprocess: Preprocess, opset: int, facts: Mapping[str, str], weights_beside: bool
) -> None:
    import onnx

    example = torch.zeros(2, 3, preprocess.height, preprocess.width)  # 2: torch.export takes 0 and 1 for constants
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=opset,
                verbose=False,
            )
    except Exception as error:  # torch and onnxscript raise classes of their own, without a common base
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ExportError(
            f"the network cannot be exported to ONNX with opset {opset}",
            f"{type(error).__name__}: {reason}"[:500],
            "try export.opset_version=18, or another backbone",
        ) from error
    assert program is not None
    program.model.metadata_props.update(facts)
    program.save(path, external_data=True if weights_beside else None)
    onnx.checker.check_model(str(path))
    written = next(
        entry.version for entry in onnx.load(str(path), load_external_data=False).opset_import if not entry.domain
    )
    if written != opset:
        raise ExportError(
            f"export.opset_version={opset} was asked for, and torch could write opset {written} only",
            "its exporter starts at opset 18, and some operators have no older form",
            f"use export.opset_version={written}",
        )


def _require_pictures(images: NDArray[np.uint8], preprocess: Preprocess) -> None:
    expected = (preprocess.height, preprocess.width, 3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected or len(images) == 0:
        raise ExportError(
            f"the pictures for the check are {images.dtype} {list(images.shape)}",
            f"the exported network is compared on uint8 [N, {expected[0]}, {expected[1]}, 3] pictures, at least one",
            "give export images of the data set, resized to the network's input",
        )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """The same file name in a temporary folder beside it: weights kept outside refer to each other by name."""
    folder = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with storage_errors(path):
            folder.mkdir(parents=True)
            yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(temporary: Path, path: Path) -> None:
    """Renames the file, its weights first; a stale weights file of an earlier export goes last."""
    weights, kept = temporary.with_name(f"{path.name}.data"), path.with_name(f"{path.name}.data")
    for file in (weights, temporary):
        if file.exists():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    if weights.exists():
        weights.replace(kept)
        temporary.replace(path)
    else:
        temporary.replace(path)
        kept.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings and progress lines, which say nothing a user can act on."""
    loggers = [logging.getLogger(name) for name in _CHATTER]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _versions() -> dict[str, str]:
    found: dict[str, Any] = {}
    for name in _PACKAGES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found
