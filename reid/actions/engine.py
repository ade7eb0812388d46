"""What computes embeddings in evaluate and inference: torch, or onnxruntime where it is equal and pays."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import nn

from reid.data.images import Preprocess
from reid.data.pack import Pack
from reid.devices import Hardware
from reid.distributed import from_main, gather
from reid.errors import ExportError, SpecError
from reid.model.checkpoint import Checkpoint
from reid.model.encryption import is_encrypted
from reid.spec.experiment import ExperimentSpec

if TYPE_CHECKING:
    from reid.model.network import ReidNetwork

log = logging.getLogger(__name__)

Engine = Literal["torch", "onnxruntime"]

_WORTH = 2e12
"""Multiply-adds on each thread from which on a conversion pays.

Measured in CPU seconds of one thread, images of 256x128: a conversion with its check takes 10 to 12 s; onnxruntime
saves 39 ms an image of ResNet-50 (4.1e9 multiply-adds) and 17 ms of MobileNetV2 (0.2e9).
"""

_PER_IMAGE = 2.5e9
"""What onnxruntime saves besides, in each layer whatever its size, as so many multiply-adds of an image."""

_COMPARED = 8  # pictures


class Embedder(NamedTuple):
    """A network ready to embed.

    Attributes:
        network: maps normalised images float32 [B, 3, H, W] to embeddings.
        engine: what computes it; stands in the results.
    """

    network: nn.Module
    engine: Engine


def embedder_of(
    spec: ExperimentSpec, checkpoint: Checkpoint, pack: Pack, *, images: int, hardware: Hardware, cache_dir: Path
) -> Embedder:
    """The checkpoint's network in the engine that `embedding_engine` asks for; the same in all processes.

    Args:
        spec: of the action.
        checkpoint: the network.
        pack: some of the images that will be embedded; the engines are compared on the first.
        images: how many there are in all.
        hardware: where they are embedded.
        cache_dir: keeps converted networks.

    Raises:
        SpecError: onnxruntime is asked for and the network is not on the CPU.
        CheckpointError: the weights do not fit.
    """
    network = checkpoint.build_network()
    preprocess = Preprocess.from_dict(checkpoint.preprocess)
    reason = from_main(lambda: _against_onnxruntime(spec, checkpoint, network, preprocess, images, hardware))
    if not reason:
        from reid.deploy.engine import in_onnxruntime  # onnx takes seconds to import

        converted, failure = None, ""
        try:
            converted = in_onnxruntime(
                network,
                facts={"checkpoint_sha256": checkpoint.sha256, **checkpoint.network.to_dict()},
                preprocess=preprocess,
                pictures=pack.images(range(min(_COMPARED, len(pack)))),
                cache_dir=cache_dir,
                threads=torch.get_num_threads(),
            )
        except ExportError as error:
            failure = str(error)
        reason = next(filter(None, gather(failure)), "")  # one that cannot, none may
        if converted is not None and not reason:
            log.info("onnxruntime embeds %d images", images)
            return Embedder(converted, "onnxruntime")
    log.info("torch embeds %d images: %s", images, reason)
    return Embedder(network.to(hardware.device), "torch")


def _against_onnxruntime(
    spec: ExperimentSpec,
    checkpoint: Checkpoint,
    network: ReidNetwork,
    preprocess: Preprocess,
    images: int,
    hardware: Hardware,
) -> str:
    """Why onnxruntime is not used; "" where nothing speaks against it."""
    choice = spec.embedding_engine
    if choice == "torch":
        return "embedding_engine=torch"
    if hardware.device.type != "cpu":
        if choice == "onnxruntime":
            raise SpecError(
                f"embedding_engine=onnxruntime, and the network runs on {hardware.device.type}",
                "onnxruntime computes on the CPU here",
                "set device=cpu, or leave embedding_engine at auto",
            )
        return f"it runs on {hardware.device.type}"
    if network.side is not None:
        return "the network takes camera or view beside the image"
    if is_encrypted(checkpoint.path):
        return "the checkpoint is encrypted, and a converted one in the cache would not be"
    if choice == "onnxruntime":
        return ""
    from reid.deploy.engine import multiplications

    saved = _PER_IMAGE + multiplications(network, preprocess.height, preprocess.width)
    enough = _WORTH * torch.get_num_threads() * hardware.processes / saved
    if images < enough:
        return f"a conversion for onnxruntime pays from about {enough:.0f} images on"
    return ""
