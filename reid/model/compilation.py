"""torch.compile of the backbone while it trains: tried on one batch first, and left out where it does not work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from reid.model.module import ReidModule
from reid.model.network import ReidNetwork

log = logging.getLogger(__name__)

CompileChoice = Literal["auto", "off", "on", "cuda_graphs"]

LONG_TRAINING = 5000
"""Steps from which `auto` compiles on a GPU: compiling takes one to two minutes, a step about a fifth less."""


class Compilation(Callback):
    """Compiles the backbone for training batches; validation, with its other batch sizes, runs as it is.

    Args:
        choice: "auto" compiles on a GPU when at least `LONG_TRAINING` steps are ahead; "cuda_graphs" also records the
            kernels of a step, which then start without Python.
    """

    def __init__(self, choice: CompileChoice) -> None:
        self._choice = choice
        self._network: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compiles, once the network is on its device."""
        assert isinstance(pl_module, ReidModule)
        network, device = pl_module.network, pl_module.device
        steps = trainer.estimated_stepping_batches - trainer.global_step
        images = trainer.datamodule.images_of_this_process  # type: ignore[attr-defined] # set by fit(datamodule=...)
        if self._choice == "off" or (self._choice == "auto" and not (device.type == "cuda" and steps >= LONG_TRAINING)):
            return
        if not any(parameter.requires_grad for parameter in network.backbone.parameters()):
            log.info("training without torch.compile: the backbone is frozen")
            return
        if network.side is not None or network.jigsaw is not None:
            log.info("training without torch.compile: side information and jigsaw do not pass the backbone in one go")
            return
        mode = "reduce-overhead" if self._choice == "cuda_graphs" else "default"
        eager, started = network.backbone.forward_features, time.monotonic()
        compiled = torch.compile(eager, mode=mode, dynamic=False)
        shape = (images, 3, network.settings.input_height, network.settings.input_width)
        try:
            _try(compiled, network, torch.zeros(shape, device=device), trainer.precision_plugin.forward_context)
        except Exception as error:  # a compiler, a driver, an operator: whatever it is, training works without
            reason = (str(error).strip().splitlines() or ["no detail"])[0][:200]
            log.warning("training without torch.compile, which failed (%s: %s)", type(error).__name__, reason)
            torch.compiler.reset()
            return
        log.info("compiled the backbone in %.0f s (%s)", time.monotonic() - started, mode)
        network.backbone.forward_features = _while_training(network.backbone, compiled, eager)
        self._network = network

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Says that the recorded kernels' memory of the last step may be used again."""
        if self._network is not None and self._choice == "cuda_graphs":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leaves the network as it was."""
        if self._network is not None:
            del self._network.backbone.forward_features
            self._network = None


def _while_training(
    backbone: nn.Module, compiled: Callable[[Tensor], Tensor], eager: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    return lambda images: compiled(images) if backbone.training else eager(images)


def _try(
    function: Callable[[Tensor], Tensor],
    network: ReidNetwork,
    images: Tensor,
    arithmetic: Callable[[], AbstractContextManager[Any]],
) -> None:
    """Forward and backward, after which the network is as it was: its running statistics, gradients and mode.

    Args:
        function: to try.
        network: whose backbone it is.
        images: of the shape of a training batch.
        arithmetic: the very context of the training's steps; what is compiled in any other would be compiled again.
    """
    backbone: nn.Module = network.backbone
    state = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    was_training = network.training
    network.train()
    devices = [images.device] if images.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), arithmetic():
            images = images.contiguous(memory_format=torch.channels_last)
            loss = function(images).float().mean()
            loss.backward()  # type: ignore[no-untyped-call]
    finally:
        backbone.zero_grad(set_to_none=True)
        network.train(was_training)
        with torch.no_grad():
            for name, buffer in backbone.named_buffers():
                buffer.copy_(state[name])
