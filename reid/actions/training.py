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
from reid.actions.recipes.table import recipe_of
from reid.actions.resume import StartingPoint
from reid.actions.scoring import QueryAndGallery, rank_by
from reid.actions.subsets import Subsets
from reid.data.module import TrainingData
from reid.data.records import Record, Subset
from reid.data.side import Side
from reid.devices import Hardware, choose_precision
from reid.distributed import from_main, is_main_process
from reid.files import write_json
from reid.model.checkpoint import FORMAT
from reid.model.fit import fit
from reid.model.keeping import Keeping
from reid.model.key_names import KeyNames
from reid.model.module import ReidModule
from reid.model.network import ReidNetwork, has_depthwise_convolutions
from reid.model.weights.report import some
from reid.retrieval.metrics import measure
from reid.spec.experiment import ExperimentSpec
from reid.spec.load import dump_spec
from reid.tracking.provenance import code_revision

log = logging.getLogger(__name__)

PRETRAINED = "pretrained.json"
"""Which initial weights the training took, and which not and why."""

_TOLD = 4  # identities and files of a batch, in a message

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
        self._train_set, self._records = subsets["train"], _labelled(subsets["train"])
        self._batches = _batches(spec, subsets, self._records, side=network.side_of(self._records), seed=seed)
        self._validate = _validation(spec, subsets, hardware) if "query" in subsets.by_name else None

    def run(self, run: ActionRun) -> EpochLog:
        """Trains to the last epoch, with checkpoints in the action's folder; returns the log of the epochs."""
        if self._initial and is_main_process():
            write_json(run.folder / PRETRAINED, self._initial)
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
                link=recipe_of(self._spec).latest_file,
            ),
            describe=self._describe,
            keys=_key_names(self._spec),
            encryption_key=self._spec.encryption_key,
            freeze_backbone_epochs=train.freeze_backbone_epochs,
            early_stopping=train.early_stopping,
            compile_backbone=train.compile,
        )
        return epochs

    def _describe(self, epoch: int, batch: int) -> str:
        """The identities and files of a batch of this process."""
        shown = [self._records[row] for row in self._batches.rows(epoch, batch)]
        labels = self._train_set.names_of(sorted({record.pid for record in shown}))
        names = [record.path.name for record in shown]
        return f"the {self._spec.nouns} {some(labels, _TOLD)} ({some(names, _TOLD)})"


def _network(spec: ExperimentSpec, subsets: Subsets, *, resumed: bool) -> tuple[ReidNetwork, dict[str, Any]]:
    """The network with its initial weights, and what they are; those of a resumed training come from the checkpoint."""
    recipe, train_set = recipe_of(spec).training(), subsets["train"]
    network = ReidNetwork(recipe.network_for(spec, train_set))
    initial = {} if resumed else recipe.initial_weights(spec, network, cache_dir=subsets.cache_dir)
    log.info(
        "network %s: %d-dimensional embedding, %s, %.1f million parameters",
        spec.model.backbone,
        network.embedding_dim,
        train_set.count_of(len(train_set.pids)),
        sum(p.numel() for p in network.parameters()) / 1e6,
    )
    if spec.train.freeze_batch_norm:
        network.freeze_batch_norm()
    return network.to(memory_format=torch.channels_last), initial


def _module(
    spec: ExperimentSpec, network: ReidNetwork, subsets: Subsets, *, initial: dict[str, Any], seed: int
) -> ReidModule:
    recipe = recipe_of(spec).training()
    base_lr, momentum = recipe.rates(spec)
    train_set = subsets["train"]
    criterion = recipe.criterion(spec, num_classes=len(train_set.pids), dim=network.branch_dim, seed=seed)
    report = subsets.report["train"]
    block: dict[str, Any] = {
        "format": FORMAT,
        "network": network.settings.to_dict(),
        "preprocess": recipe.preprocess(spec).to_dict(),
        "pids": list(train_set.pids),
        "spec": yaml.safe_load(dump_spec(spec)),
        "provenance": {
            "version": __version__,
            **_revision(),
            "seed": seed,
            "batch_images": spec.batch_size,
            "train_fingerprint": report.fingerprint,
            "validation_fingerprints": {
                found.name: found.fingerprint for found in subsets.report.subsets if found.name != "train"
            },
            "train_images": report.labelled,
            "train_identities": report.identities,
            "train_cameras": list(report.cameras),
            "pretrained": initial or None,
            **({"train_classes": train_set.names_of(train_set.pids)} if train_set.classes else {}),
            **({"train_sources": [source.origin() for source in report.sources]} if report.sources else {}),
        },
    }
    return ReidModule(
        network,
        criterion,
        augmentation=recipe.augmentation(spec),
        schedule=recipe.schedule(spec),
        optimizer=spec.train.optim.name,
        groups=recipe.groups(spec, network),
        base_lr=base_lr,
        part_lrs=recipe.part_lrs(spec),
        momentum=momentum,
        ema_decay=spec.train.ema_decay,
        seed=seed,
        checkpoint_block=block,
    )


def _key_names(spec: ExperimentSpec) -> KeyNames:
    return KeyNames(
        **{name: spec.names[name] for name in ("batch_size", "val_batch_size", "num_instances", "grad_clip")},
        batch_share=spec.batch_share,
        nouns=spec.nouns,
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
    recipe = recipe_of(spec).training()
    pack = subsets.pack([r.path for r in records], recipe.training_preprocess(spec), workers=spec.workers)
    return TrainingData(
        pack.array,
        [classes[record.pid] for record in records],
        batch_size=spec.batch_size,
        num_instances=spec.num_instances,
        seed=seed,
        cameras=recipe.balanced_cameras(spec, records),
        side=side,
        keep_on_device=spec.dataset.keep_on_gpu,
    )


def _validation(spec: ExperimentSpec, subsets: Subsets, hardware: Hardware) -> Validate:
    """Measures a module on query and gallery."""
    classes = subsets["gallery"].classes | subsets["query"].classes
    test_set = QueryAndGallery.of(subsets, recipe_of(spec).training().preprocess(spec), workers=spec.workers)

    def validate(module: pl.LightningModule) -> dict[str, float]:
        assert isinstance(module, ReidModule)
        sides = test_set.embed(module.evaluated_network, batch_size=spec.val_batch_size, device=module.device)

        def figures() -> dict[str, float]:
            assert sides is not None, "the main process has all embeddings"
            query, gallery = sides
            ranking = rank_by(spec, query, gallery, device=module.device)
            found = measure(ranking, max_rank=spec.re_ranking.max_rank, form=spec.evaluate.average_precision)
            return found.figures() | recipe_of(spec).figures(spec, ranking, query, gallery, classes)

        return from_main(figures)

    return validate
