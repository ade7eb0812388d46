"""`train`: from checked images to checkpoints under TAO's names, resumable, with the best one kept."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml

from reid import __version__
from reid.actions.base import ActionRun, action_run
from reid.actions.epochs import EpochLog
from reid.actions.result import ActionResult
from reid.actions.resume import starting_point
from reid.actions.scoring import QueryAndGallery, rank_by
from reid.actions.settings import (
    augmentation_of,
    criterion_of,
    hardware_of,
    network_settings_of,
    preprocess_of,
    schedule_of,
)
from reid.actions.subsets import Subsets, open_subsets
from reid.data.checks import require_evaluable, require_trainable
from reid.data.module import TrainingData
from reid.data.records import Subset
from reid.devices import Hardware
from reid.distributed import is_main_process
from reid.errors import SpecError
from reid.model.checkpoint import FORMAT
from reid.model.fit import fit
from reid.model.module import ReidModule
from reid.model.network import ReidNetwork
from reid.model.optim import parameter_groups
from reid.model.selection import BEST, LATEST
from reid.model.weights import load_file, load_imagenet
from reid.retrieval.metrics import measure
from reid.spec.load import dump_spec
from reid.spec.re_identification import ReIdentificationSpec
from reid.tracking.provenance import revision_tags

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Setting:
    """What a training starts from: data, where to go on, hardware."""

    subsets: Subsets
    hardware: Hardware
    seed: int
    resume_from: Path | None


def train(spec: ReIdentificationSpec) -> ActionResult:
    """Trains a network and validates it; writes checkpoints, `metrics.csv`, `training.png` and `status.json`.

    Goes on from `train.resume_training_checkpoint_path`, else from the latest checkpoint in its folder.

    Raises:
        SpecError: a place, device or setting that cannot work; or the folder holds a training with other settings.
        DataError: the images cannot be trained or validated on.
        CheckpointError: pretrained weights or the checkpoint to resume from cannot be used.
        StorageError: the disk is full; the last checkpoint is whole.
    """
    with action_run("train", spec) as run:
        hardware = hardware_of(spec)
        subsets = open_subsets(spec, _locations(spec))
        _require_usable(spec, subsets)
        seed = spec.train.seed if spec.train.seed >= 0 else _any_seed()
        train_set = subsets["train"]
        fingerprints = {found.name: found.fingerprint for found in subsets.report.subsets}
        resume_from = starting_point(spec, run.folder, fingerprints=fingerprints, num_classes=len(train_set.pids))
        setting = _Setting(subsets, hardware, seed, resume_from)
        if resume_from:
            run.status.write("STARTED", f"Resuming training from checkpoint: {resume_from}")
        pl.seed_everything(seed, workers=True, verbose=False)
        network = _network(spec, train_set, resumed=resume_from is not None)
        module = _module(spec, network, setting)
        batches, validate = _batches(spec, setting), _validation(spec, subsets, hardware)
        run.begin(spec)
        run.record()  # now, as a training is resumed and watched before it ends
        run.tracker.set_tags({f"fingerprint.{name}": value for name, value in fingerprints.items()})
        epochs = EpochLog(run, max_epochs=spec.train.num_epochs, resumed=resume_from is not None)
        run.status.write("STARTED", "Starting Training Loop.")
        fit(
            module,
            batches,
            folder=run.folder,
            hardware=hardware,
            max_epochs=spec.train.num_epochs,
            grad_clip=spec.train.grad_clip,
            validate=validate,
            validation_interval=spec.train.validation_interval,
            checkpoint_interval=spec.train.checkpoint_interval,
            checkpoint_unit=spec.train.checkpoint_interval_unit,
            resume_from=resume_from,
            receive=epochs.receive,
        )
        if not epochs.received:
            log.info("the training in %s had all of its %d epochs already", run.folder, spec.train.num_epochs)
        run.status.write("RUNNING", "Training loop complete.")
        return _result(run, epochs)


def _any_seed() -> int:
    """Drawn by the main process; the others of this machine are its children and find it in their environment."""
    drawn = None if is_main_process() else os.environ.get("PL_GLOBAL_SEED")
    return secrets.randbelow(2**31) if drawn is None else int(drawn)


def _locations(spec: ReIdentificationSpec) -> dict[str, tuple[str, str]]:
    dataset = spec.dataset
    places = {"train": ("dataset.train_dataset_dir", dataset.train_dataset_dir)}
    if dataset.query_dataset_dir or dataset.test_dataset_dir:
        places["query"] = ("dataset.query_dataset_dir", dataset.query_dataset_dir)
        places["gallery"] = ("dataset.test_dataset_dir", dataset.test_dataset_dir)
    else:
        log.warning(
            "no query and gallery images are given: training without validation, so there is no best checkpoint"
        )
    return places


def _require_usable(spec: ReIdentificationSpec, subsets: Subsets) -> None:
    require_trainable(subsets["train"], batch_size=spec.dataset.batch_size, num_instances=spec.dataset.num_instances)
    if "query" in subsets.by_name:
        require_evaluable(subsets["query"], subsets["gallery"])


def _network(spec: ReIdentificationSpec, train_set: Subset, *, resumed: bool) -> ReidNetwork:
    """The network with its initial weights; those of a resumed training come from the checkpoint."""
    network = ReidNetwork(network_settings_of(spec, num_classes=len(train_set.pids)))
    model = spec.model
    if not resumed and model.pretrained_model_path:
        load_file(network.backbone, Path(model.pretrained_model_path), settings=network.settings)
    elif not resumed and model.pretrain_choice == "imagenet":
        load_imagenet(network.backbone, model.backbone)
    elif not resumed and model.pretrain_choice == "self":
        raise SpecError(
            "model.pretrain_choice=self, and model.pretrained_model_path is not set",
            "there are no weights to start from, and random ones instead would be a different experiment without "
            "saying so",
            "give a file with model.pretrained_model_path=FILE, or ask for random weights with "
            'model.pretrain_choice=""',
        )
    log.info(
        "network %s: %d-dimensional embedding, %d identities, %.1f million parameters",
        model.backbone,
        network.embedding_dim,
        len(train_set.pids),
        sum(p.numel() for p in network.parameters()) / 1e6,
    )
    return network.to(memory_format=torch.channels_last)


def _module(spec: ReIdentificationSpec, network: ReidNetwork, setting: _Setting) -> ReidModule:
    optim = spec.train.optim
    train_set = setting.subsets["train"]
    criterion = criterion_of(spec, num_classes=len(train_set.pids), dim=network.embedding_dim, seed=setting.seed)
    report = setting.subsets.report["train"]
    block: dict[str, Any] = {
        "format": FORMAT,
        "network": network.settings.to_dict(),
        "preprocess": preprocess_of(spec).to_dict(),
        "pids": list(train_set.pids),
        "spec": yaml.safe_load(dump_spec(spec)),
        "provenance": {
            "version": __version__,
            **_revision(),
            "seed": setting.seed,
            "train_fingerprint": report.fingerprint,
            "validation_fingerprints": {
                found.name: found.fingerprint for found in setting.subsets.report.subsets if found.name != "train"
            },
            "train_images": report.labelled,
            "train_identities": report.identities,
            "train_cameras": list(report.cameras),
        },
    }
    return ReidModule(
        network,
        criterion,
        augmentation=augmentation_of(spec),
        schedule=schedule_of(spec),
        optimizer=optim.name,
        groups=parameter_groups(
            network,
            base_lr=optim.base_lr,
            weight_decay=optim.weight_decay,
            bias_lr_factor=optim.bias_lr_factor,
            weight_decay_bias=optim.weight_decay_bias,
            large_fc_lr=optim.large_fc_lr,
        ),
        momentum=optim.momentum,
        seed=setting.seed,
        checkpoint_block=block,
    )


def _revision() -> dict[str, str | bool]:
    """Git commit of the working directory, and whether files differ from it; empty outside a working copy."""
    tags = revision_tags(Path.cwd())
    if "mlflow.source.git.commit" not in tags:
        return {}
    return {"revision": tags["mlflow.source.git.commit"], "revision_changed": tags["reid.git_dirty"] == "true"}


def _batches(spec: ReIdentificationSpec, setting: _Setting) -> TrainingData:
    train_set = setting.subsets["train"]
    classes = {pid: index for index, pid in enumerate(train_set.pids)}
    records = [record for record in train_set.records if record.pid in classes]
    pack = setting.subsets.pack([r.path for r in records], preprocess_of(spec), workers=spec.dataset.num_workers)
    return TrainingData(
        pack.images,
        [classes[record.pid] for record in records],
        batch_size=spec.dataset.batch_size,
        num_instances=spec.dataset.num_instances,
        seed=setting.seed,
        pin_memory=setting.hardware.device.type == "cuda",
    )


def _validation(spec: ReIdentificationSpec, subsets: Subsets, hardware: Hardware) -> Any:
    """Measures a module on query and gallery; None without them."""
    if "query" not in subsets.by_name:
        return None
    test_set = QueryAndGallery.of(subsets, preprocess_of(spec), workers=spec.dataset.num_workers)

    def validate(module: pl.LightningModule) -> dict[str, float]:
        assert isinstance(module, ReidModule)
        query, gallery = test_set.embed(module.network, batch_size=spec.dataset.val_batch_size, device=module.device)
        ranking = rank_by(spec, query, gallery, device=module.device)
        return measure(ranking, max_rank=max(spec.re_ranking.max_rank, 10)).figures()

    return validate


def _result(run: ActionRun, epochs: EpochLog) -> ActionResult:
    files = {"latest": run.folder / LATEST, "metrics": run.folder / "metrics.csv"}
    if (run.folder / BEST).is_file():
        files = {"best": run.folder / BEST, **files}
    if (picture := epochs.draw()) is not None:
        files["training"] = picture
        run.tracker.log_artifact(picture)
    for checkpoint in (run.folder / BEST, (run.folder / LATEST).resolve()):
        if checkpoint.is_file():
            run.tracker.log_artifact(checkpoint)
    run.tracker.log_artifact(run.folder / "metrics.csv")
    return ActionResult("train", run.folder, epochs.figures(), files, run.tracker.id)
