"""The parts of a training, put together from checked data and a spec: network, losses, batches, validation.

Importing Lightning and timm takes many seconds, so `train` imports this module once its input is known to be good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml

from reid import __version__
from reid.actions.base import ActionRun
from reid.actions.epochs import EpochLog
from reid.actions.resume import StartingPoint
from reid.actions.scoring import QueryAndGallery, rank_by
from reid.actions.settings import augmentation_of, criterion_of, network_of_training, preprocess_of, schedule_of
from reid.actions.subsets import Subsets
from reid.data.module import TrainingData
from reid.data.records import Record, Subset
from reid.data.side import Side
from reid.devices import Hardware, choose_precision
from reid.distributed import from_main, is_main_process
from reid.errors import SpecError
from reid.files import write_json
from reid.model.checkpoint import FORMAT
from reid.model.fit import fit
from reid.model.keeping import Keeping
from reid.model.module import ReidModule
from reid.model.network import ReidNetwork, has_depthwise_convolutions
from reid.model.optim import parameter_groups
from reid.model.weights.loading import load_file, load_imagenet
from reid.model.weights.location import label_of, weights_file
from reid.model.weights.report import WeightReport
from reid.retrieval.metrics import measure
from reid.spec.experiment import ExperimentSpec
from reid.spec.load import dump_spec
from reid.spec.re_identification import ReIdentificationSpec
from reid.tracking.provenance import code_revision

log = logging.getLogger(__name__)

PRETRAINED = "pretrained.json"
"""Which initial weights the training took, and which not and why."""

Validate = Callable[[pl.LightningModule], dict[str, float]]


class Training:
    """A training that is ready to run.

    Args:
        spec: what was asked for.
        subsets: "train", and "query" and "gallery" when it shall be validated.
        hardware: where it runs.
        seed: of the initial weights, the batches and the augmentation.
        start: checkpoint to go on from; None to begin.

    Attributes:
        stopped_early: after `run`, whether validations that no longer improved ended it before its last epoch.

    Raises:
        SpecError: there is no such network, or no weights were given to start from.
        CheckpointError: pretrained weights cannot be used.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        subsets: Subsets,
        *,
        hardware: Hardware,
        seed: int,
        start: StartingPoint | None,
    ) -> None:
        pl.seed_everything(seed, workers=True, verbose=False)
        self._spec, self._start = spec, start
        self.stopped_early = False
        network, self._initial = _network(spec, subsets, resumed=start is not None)
        precision = choose_precision(
            spec.train.precision, hardware.device, depthwise=has_depthwise_convolutions(network)
        )
        self._hardware = replace(hardware, precision=precision)
        log.info("training on %s in %s", hardware.device, precision)
        self._module = _module(spec, network, subsets, initial=self._initial, seed=seed)
        self._records = _labelled(subsets["train"])
        self._batches = _batches(spec, subsets, self._records, side=network.side_of(self._records), seed=seed)
        self._validate = _validation(spec, subsets, hardware) if "query" in subsets.by_name else None

    def run(self, run: ActionRun) -> EpochLog:
        """Trains to the last epoch, with checkpoints in the action's folder; returns the log of the epochs."""
        if self._initial and is_main_process():
            write_json(run.folder / PRETRAINED, self._initial.to_dict())
            run.tracker.log_artifact(run.folder / PRETRAINED)
        epochs = EpochLog(run, max_epochs=self._spec.train.num_epochs, start=self._start)
        train, select = self._spec.train, self._spec.select
        named = train.resume_training_checkpoint_path
        self.stopped_early = fit(
            self._module,
            self._batches,
            folder=run.folder,
            hardware=self._hardware,
            max_epochs=train.num_epochs,
            grad_clip=self._spec.grad_clip,
            validate=self._validate,
            validation_interval=train.validation_interval,
            checkpoint_interval=train.checkpoint_interval,
            checkpoint_unit=train.checkpoint_interval_unit,
            resume_from=self._start.path if self._start else None,
            receive=epochs.receive,
            keeping=Keeping(
                best=train.keep_checkpoints,
                epoch=select.epoch_number if select.method == "from_epoch_number" else None,
                file=Path(named) if named else None,
            ),
            describe=self._describe,
            encryption_key=self._spec.encryption_key,
            freeze_backbone_epochs=train.freeze_backbone_epochs,
            early_stopping=train.early_stopping,
            compile_backbone=train.compile,
        )
        return epochs

    def _describe(self, epoch: int, batch: int) -> str:
        """The identities and files of a batch of this process."""
        shown = [self._records[row] for row in self._batches.rows(epoch, batch)]
        pids = ", ".join(str(pid) for pid in sorted({record.pid for record in shown}))
        return f"the identities {pids} ({', '.join(record.path.name for record in shown)})"


def _network(spec: ExperimentSpec, subsets: Subsets, *, resumed: bool) -> tuple[ReidNetwork, WeightReport | None]:
    """The network with its initial weights, and what they are; those of a resumed training come from the checkpoint."""
    train_set = subsets["train"]
    network = ReidNetwork(network_of_training(spec, train_set))
    model = spec.model
    initial = None
    if not resumed and model.pretrained_model_path:
        initial = load_file(
            network,
            weights_file(model.pretrained_model_path, cache_dir=subsets.cache_dir),
            source=label_of(model.pretrained_model_path),
            encryption_key=spec.encryption_key,
        )
    elif not resumed and model.pretrain_choice == "imagenet":
        initial = load_imagenet(network)
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
    return network.to(memory_format=torch.channels_last), initial


def _module(
    spec: ExperimentSpec, network: ReidNetwork, subsets: Subsets, *, initial: WeightReport | None, seed: int
) -> ReidModule:
    assert isinstance(spec, ReIdentificationSpec)
    optim = spec.train.optim
    train_set = subsets["train"]
    criterion = criterion_of(spec, num_classes=len(train_set.pids), dim=network.branch_dim, seed=seed)
    report = subsets.report["train"]
    block: dict[str, Any] = {
        "format": FORMAT,
        "network": network.settings.to_dict(),
        "preprocess": preprocess_of(spec).to_dict(),
        "pids": list(train_set.pids),
        "spec": yaml.safe_load(dump_spec(spec)),
        "provenance": {
            "version": __version__,
            **_revision(),
            "seed": seed,
            "train_fingerprint": report.fingerprint,
            "validation_fingerprints": {
                found.name: found.fingerprint for found in subsets.report.subsets if found.name != "train"
            },
            "train_images": report.labelled,
            "train_identities": report.identities,
            "train_cameras": list(report.cameras),
            "pretrained": initial.to_dict() if initial else None,
            **({"train_sources": [source.origin() for source in report.sources]} if report.sources else {}),
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
            layer_decay=optim.layer_decay,
        ),
        base_lr=optim.base_lr,
        momentum=optim.momentum,
        ema_decay=spec.train.ema_decay,
        seed=seed,
        checkpoint_block=block,
    )


def _revision() -> dict[str, str | bool]:
    """Git commit of this package's code, and whether its files differ from it; empty for an installed copy."""
    code = code_revision()
    return {"revision": code.commit, "revision_changed": code.changed} if code else {}


def _labelled(train_set: Subset) -> list[Record]:
    """The images that are trained on: distractors have no class."""
    pids = set(train_set.pids)
    return [record for record in train_set.records if record.pid in pids]


def _batches(
    spec: ExperimentSpec, subsets: Subsets, records: list[Record], *, side: Side | None, seed: int
) -> TrainingData:
    classes = {pid: index for index, pid in enumerate(subsets["train"].pids)}
    pack = subsets.pack([r.path for r in records], preprocess_of(spec), workers=spec.workers)
    return TrainingData(
        pack.array,
        [classes[record.pid] for record in records],
        batch_size=spec.batch_size,
        num_instances=spec.num_instances,
        seed=seed,
        cameras=[record.camid for record in records] if spec.camera_balanced else None,
        side=side,
        keep_on_device=spec.dataset.keep_on_gpu,
    )


def _validation(spec: ExperimentSpec, subsets: Subsets, hardware: Hardware) -> Validate:
    """Measures a module on query and gallery."""
    test_set = QueryAndGallery.of(subsets, preprocess_of(spec), workers=spec.workers)

    def validate(module: pl.LightningModule) -> dict[str, float]:
        assert isinstance(module, ReidModule)
        sides = test_set.embed(module.evaluated_network, batch_size=spec.val_batch_size, device=module.device)

        def figures() -> dict[str, float]:
            assert sides is not None, "the main process has all embeddings"
            ranking = rank_by(spec, *sides, device=module.device)
            return measure(ranking, max_rank=spec.re_ranking.max_rank, form=spec.evaluate.average_precision).figures()

        return from_main(figures)

    return validate
