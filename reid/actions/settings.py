"""Sections of the spec as the plain settings that the training engine takes."""

from __future__ import annotations

import logging
from typing import Literal

import torch

from reid.devices import Hardware, choose_device, choose_precision, keep_freed_memory, use_cpu_threads
from reid.distributed import launched, local_rank
from reid.errors import SpecError
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)

Shared = Literal["train", "evaluate", "inference"]
"""Actions that several processes can share."""


def device_of(spec: ExperimentSpec, *, index: int = 0) -> torch.device:
    """The device of a network, with `cpu_threads` set, and with fp32 that is fp32 on GPUs too.

    PyTorch's own default rounds the factors of convolutions to TF32, 10 bits of mantissa, where a GPU has it.

    Raises:
        SpecError: this machine does not have it.
    """
    use_cpu_threads(spec.cpu_threads)
    device = choose_device(spec.device, index=index)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return device


def hardware_of(spec: ExperimentSpec, action: Shared = "train") -> Hardware:
    """Where an action runs. On `device: cpu`, num_gpus is the number of processes; otherwise it counts GPUs.

    Raises:
        SpecError: a device or a precision that this machine does not have.
    """
    own, train = getattr(spec, action), spec.train
    device = device_of(spec)
    processes = own.num_gpus if device.type == "cuda" or spec.device == "cpu" or launched() else 1
    if device.type == "cuda":
        for index in own.gpu_ids:
            choose_device("cuda", index=index)
        device = choose_device("cuda", index=own.gpu_ids[local_rank()])
    elif own.num_gpus > processes:
        log.warning("%d GPUs were asked for and there is none: %s runs on %s", own.num_gpus, action, device.type)
    return Hardware(
        device=device,
        processes=processes,
        gpu_ids=own.gpu_ids,
        num_nodes=own.num_nodes,
        precision=choose_precision(train.precision, device) if action == "train" else "fp32",
        cudnn_benchmark=train.cudnn.benchmark,
        cudnn_deterministic=train.cudnn.deterministic,
    )


def as_launched(spec: ExperimentSpec, action: Shared) -> ExperimentSpec:
    """The spec with the numbers of processes and machines that `torchrun` started, where it started this process.

    Raises:
        SpecError: the spec asks for several itself, and for another number.
    """
    if (launch := launched()) is None:
        return spec
    own = getattr(spec, action)
    for key, started, option in (
        ("num_gpus", launch.processes, "--nproc-per-node"),
        ("num_nodes", launch.nodes, "--nnodes"),
    ):
        if getattr(own, key) not in (1, started):
            raise SpecError(
                f"{action}.{key} is {getattr(own, key)}, and torchrun was started with {option} {started}",
                "they say the same thing, and it cannot be both",
                f"use {option} {getattr(own, key)}, or leave {action}.{key} out, which then follows torchrun",
            )
    ids = own.gpu_ids if len(own.gpu_ids) == launch.processes else tuple(range(launch.processes))
    changes = {"num_gpus": launch.processes, "num_nodes": launch.nodes, "gpu_ids": ids}
    return spec.model_copy(update={action: own.model_copy(update=changes)})
