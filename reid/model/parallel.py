"""How Lightning trains a module in several processes: batch norm over all of them, and no search that finds nothing."""

from __future__ import annotations

import copy

import torch
from pytorch_lightning.strategies import DDPStrategy

from reid.devices import Hardware
from reid.model.batch_norm import synchronise_batch_norm
from reid.model.module import ReidModule


def prepare_ddp(module: ReidModule, *, hardware: Hardware, freezes: bool) -> DDPStrategy:
    """Prepares a module, on the CPU, for several processes and returns the strategy for the trainer.

    DistributedDataParallel waits for the gradient of every parameter, so it must look in each step for those that get
    none where there are such: without an ID loss the head, in a frozen warm-up the backbone.

    Args:
        module: its batch norms are replaced.
        hardware: where it will be trained.
        freezes: whether some parameters have no gradient for a while.
    """
    search = freezes or not _all_learn(module)
    synchronise_batch_norm(module.network, hardware.device)
    return DDPStrategy(find_unused_parameters=search)


def _all_learn(module: ReidModule) -> bool:
    """Whether each parameter has a part in the loss, by the graph of a copy's loss on four black images."""
    network, criterion = copy.deepcopy((module.network, module.criterion))
    height, width = network.settings.input_height, network.settings.input_width
    labels = torch.arange(4) % min(2, network.settings.num_classes)
    with torch.random.fork_rng(devices=[]):
        loss = criterion(network.training_output(torch.zeros(4, 3, height, width)), labels).total
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, learning, allow_unused=True)
    return all(gradient is not None for gradient in gradients)
