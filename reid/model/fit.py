"""Runs a training: Lightning's loop with this project's precision, devices, checkpoints and resume."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from reid.data.module import TrainingData
from reid.devices import Hardware, Precision
from reid.errors import Terminated
from reid.model.callbacks import EpochRecord, ProgressBar, Records, Validation
from reid.model.checkpoint_io import AtomicCheckpointIO
from reid.model.compilation import Compilation, CompileChoice
from reid.model.divergence import Divergence
from reid.model.freezing import FrozenBackbone
from reid.model.halting import StopAsked, Stopping
from reid.model.keeping import Checkpoints, Keeping
from reid.model.key_names import KeyNames
from reid.model.memory import is_out_of_memory, out_of_memory
from reid.model.module import ReidModule
from reid.model.parallel import prepare_ddp
from reid.model.stopping import EarlyStopping
from reid.signals import StopRequest, deferred

_LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "16-mixed", "bf16-mixed"]] = {
    "fp32": "32-true",
    "fp16": "16-mixed",
    "bf16": "bf16-mixed",
}


def fit(
    module: ReidModule,
    data: TrainingData,
    *,
    folder: Path,
    hardware: Hardware,
    max_epochs: int,
    grad_clip: float,
    validate: Callable[[pl.LightningModule], dict[str, float]] | None,
    validation_interval: int,
    checkpoint_interval: int,
    checkpoint_unit: Literal["epoch", "step"],
    resume_from: Path | None,
    receive: Callable[[EpochRecord], None],
    keeping: Keeping,
    describe: Callable[[int, int], str],
    keys: KeyNames,
    encryption_key: str = "",
    freeze_backbone_epochs: int = 0,
    early_stopping: int = 0,
    compile_backbone: CompileChoice = "off",
) -> bool:
    """Trains until `max_epochs`, from `resume_from` when given; checkpoints go to `folder`.

    Args:
        module: network, losses and schedule.
        data: training batches.
        folder: of the checkpoints.
        hardware: where it runs.
        max_epochs: epochs in all, those before a resume included.
        grad_clip: largest gradient norm; 0 for no limit.
        validate: figures of the network as it is; None for no validation.
        validation_interval: epochs between validations.
        checkpoint_interval: epochs or steps between checkpoints.
        checkpoint_unit: which of the two.
        resume_from: checkpoint to go on from.
        receive: called with each epoch's record, in the main process.
        keeping: which checkpoints stay.
        describe: what stood in a batch of an epoch, for the error about a loss that is no number.
        keys: what messages call the settings.
        encryption_key: passphrase of the checkpoints; empty for plain files.
        freeze_backbone_epochs: epochs at the start that leave the backbone as it is.
        early_stopping: validations without a better one after which the training ends; 0 for never.
        compile_backbone: whether torch.compile makes the training's forward and backward pass.

    Returns:
        Whether early stopping ended it before `max_epochs`, now or before a resume.

    Raises:
        ReidError: the loss is no longer a number, or memory ran out.
        StorageError: a checkpoint cannot be written.
        Terminated: SIGTERM came; a checkpoint of the last step is written.
        KeyboardInterrupt: Ctrl-C came; likewise, unless it came twice.
    """
    stopping = EarlyStopping(early_stopping)
    compilation = Compilation(compile_backbone)
    callbacks: list[Callback] = [Divergence(describe, folder, keys), compilation]
    if validate:
        callbacks += [Validation(validate, interval=validation_interval), stopping]
    if freeze_backbone_epochs:
        callbacks.append(FrozenBackbone(freeze_backbone_epochs))
    checkpoints = Checkpoints(folder, interval=checkpoint_interval, unit=checkpoint_unit, keeping=keeping)
    request = StopRequest()
    callbacks += [Records(receive), checkpoints, Stopping(request, checkpoints)]
    interactive = sys.stderr.isatty()
    if interactive:
        callbacks.append(ProgressBar(refresh_rate=10))
    _quieten()
    torch.backends.cudnn.deterministic = hardware.cudnn_deterministic
    distributed = hardware.processes * hardware.num_nodes > 1
    strategy = prepare_ddp(module, hardware=hardware, freezes=freeze_backbone_epochs > 0) if distributed else "auto"
    trainer = pl.Trainer(
        accelerator=_ACCELERATOR[hardware.device.type],
        devices=list(hardware.gpu_ids) if hardware.device.type == "cuda" else hardware.processes,
        num_nodes=hardware.num_nodes,
        strategy=strategy,
        precision=_LIGHTNING_PRECISION[hardware.precision],
        benchmark=hardware.cudnn_benchmark,
        max_epochs=max_epochs,
        gradient_clip_val=grad_clip or None,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(encryption_key)],
        logger=False,
        enable_progress_bar=interactive,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,  # epochs differ in length, and Lightning counts batches once a loader
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    try:
        with deferred(request):
            trainer.fit(module, data, ckpt_path=resume_from, weights_only=True)
    except StopAsked:
        raise Terminated if request.signal is signal.SIGTERM else KeyboardInterrupt from None
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        compilation.teardown(trainer, module, "fit")
        trainer.optimizers = []
        device = trainer.strategy.root_device
        raise out_of_memory(error, module, data, device=device, precision=hardware.precision, keys=keys) from None
    except SystemExit as error:
        if trainer.interrupted and error.code == 1:  # Lightning's word for a Ctrl-C that it caught itself
            raise KeyboardInterrupt from error
        raise
    return stopping.stopped and trainer.current_epoch < max_epochs


_ACCELERATOR = {"cuda": "gpu", "cpu": "cpu", "mps": "mps"}


def _quieten() -> None:
    """Drops Lightning's hints that do not apply here: the loader has no workers because nothing is left to decode."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*you defined a `validation_step`.*",
        ".*`isinstance.treespec.*",
        r".*module\(s\) in eval mode at the start of training.*",  # frozen parts are meant to be
    ):
        warnings.filterwarnings("ignore", pattern)
