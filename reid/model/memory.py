"""Out of memory: finds the largest training batch that fits by trying, and says it."""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from reid.data.module import TrainingData
from reid.devices import Precision, autocast, give_back_freed_memory
from reid.distributed import on_its_own, rank_and_count
from reid.errors import ReidError
from reid.model.key_names import KeyNames
from reid.model.module import ReidModule

log = logging.getLogger(__name__)

RESERVE = 96 * 2**20
"""Bytes beside the steps of a training: a checkpoint that is being written, pictures, libraries that come late."""

_SAYINGS = (
    "out of memory",  # Apple's GPUs, and NCCL
    "DefaultCPUAllocator",
    "not enough memory",  # the same allocator on some systems
    "could not create a primitive",  # oneDNN, which says no more
    "bad_alloc",
    "ALLOC_FAILED",  # cuDNN and cuBLAS
    "start new thread",  # its stack
)
"""In the RuntimeErrors that mean memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _SAYINGS)


def out_of_memory(
    error: BaseException,
    module: ReidModule,
    data: TrainingData,
    *,
    device: torch.device,
    precision: Precision,
    keys: KeyNames,
) -> ReidError:
    """What to say after a training ran out of memory. The training is over: its weights change here.

    Args:
        error: that ended it; what it still holds is released.
        module: with the network and losses, wherever they lie.
        data: its batches.
        device: that it was trained on.
        precision: of its arithmetic.
        keys: what to call the settings.
    """
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    found = f"out of memory on {device} with {keys.batch_of(data.batch_size)} ({said})"
    _release(error)
    _, ranks = rank_and_count()
    unit = data.num_instances * ranks
    log.info("out of memory: looking for the largest %s that fits", keys.batch_size)
    if ranks > 1:
        _forget_the_others(module)
    try:
        with on_its_own():  # the other processes wait in a step that never comes
            size = largest(
                lambda size: _fits(module, data, size // ranks, device=device, precision=precision),
                given=data.batch_size,
                unit=unit,
                least=2 * unit,
            )
    except Exception as failure:
        log.warning("it could not be found by trying: %s: %s", type(failure).__name__, failure)
        half = keys.batch_of(data.batch_size // 2 // unit * unit)
        return ReidError(found, "", f"take smaller batches, such as {half}")
    if size == data.batch_size:
        return ReidError(
            found,
            "a training step of that size by itself fits, so what else was in memory at that moment took the rest",
            f"end other programs there, lower {keys.val_batch_size} if it was validating, or train with a smaller "
            f"{keys.batch_size}",
        )
    if not size:
        return ReidError(
            found,
            f"not even {2 * unit} images fit, and fewer make no batch (two {keys.nouns} of {keys.num_instances})",
            "take a smaller network or input, train.precision=bf16, or a device with more memory",
        )
    return ReidError(
        found,
        f"of all sizes that were tried, {size // keys.batch_share} is the largest that fits; checkpoints written so "
        "far are kept",
        f"set {keys.batch_of(size)}; as the batches are then others, go on from a checkpoint by naming it in "
        "train.resume_training_checkpoint_path, or begin anew with train.if_exists=restart",
    )


def largest(fits: Callable[[int], bool], *, given: int, unit: int, least: int) -> int:
    """The largest batch size up to `given` that fits, 0 where not even `least` does.

    Args:
        fits: tries a size; whoever fits, fits with fewer images too.
        given: a multiple of `unit`.
        unit: sizes are multiples of it.
        least: the smallest size that makes sense, a multiple of `unit`.
    """
    if fits(given):
        return given
    too_many = given
    size = given // 2 // unit * unit
    while size >= least and not fits(size):
        too_many, size = size, size // 2 // unit * unit
    if size < least:
        if too_many == least or not fits(least):
            return 0
        size = least
    while too_many - size > unit:
        middle = (size + too_many) // 2 // unit * unit
        size, too_many = (middle, too_many) if fits(middle) else (size, middle)
    return size


def _forget_the_others(module: ReidModule) -> None:
    """Lets batch norms, which would ask the other processes for their statistics, use the running ones."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()


def _fits(module: ReidModule, data: TrainingData, images: int, *, device: torch.device, precision: Precision) -> bool:
    """Whether two steps on random pixels fit.

    They run in a thread of their own: once oneDNN's code generator could not get memory, it refuses for as long as its
    thread lives, whatever is free by then (Xbyak keeps its last error in a thread-local variable).
    """
    threads = torch.get_num_threads()

    def steps() -> None:
        torch.set_num_threads(threads)
        _two_steps(module, data, images, device, precision)

    fit = True
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(steps).result()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _release(error)
        fit = False
    module.zero_grad()
    give_back_freed_memory()
    log.info("a batch of %d images for this process %s", images, "fits" if fit else "is too large")
    return fit


def _two_steps(module: ReidModule, data: TrainingData, images: int, device: torch.device, precision: Precision) -> None:
    """The first one makes the optimiser's state, which the second needs beside the gradients."""
    module.to(device)
    reserve = torch.empty(RESERVE, dtype=torch.uint8, device=device)
    optimizer = module.configure_optimizers()
    for _ in range(2):
        with autocast(device, precision):
            loss = module.training_step(data.random_batch(images, device), 0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    del reserve


def _release(error: BaseException | None) -> None:
    """Gives back what the frames of an error hold."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    give_back_freed_memory()
