"""The hand-over from a training to the actions after it: which checkpoint, and the spec that then says so.

The filled spec is what is recorded beside the results and in MLflow: run again, it does the same.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Literal

from reid.actions.parent import find_checkpoint
from reid.actions.protocol import VECTOR
from reid.actions.recipes.table import recipe_of
from reid.data.images import Preprocess
from reid.errors import CheckpointError
from reid.model.checkpoint import Checkpoint, load_checkpoint
from reid.model.settings import timm_name
from reid.spec.base import Section
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)

Consumer = Literal["evaluate", "inference", "export"]

OUTPUTS: dict[Consumer, dict[str, str]] = {
    "evaluate": {
        "output_cmc_curve_plot": "cmc_curve.png",
        "output_sampled_matches_plot": "sampled_matches.png",
    },
    "inference": {},  # the recipe's
    "export": {"onnx_file": "model.onnx"},
}
"""Output keys of each action and the file in its results folder that they mean when they are not set."""

_FREE = {
    "num_classes", "neck_feat", "with_flip_feature", "drop_path", "drop_out", "att_drop_rate", "dropout_rate",
    "id_loss_type",
}  # fmt: skip
"""Settings in which a spec may differ from its checkpoint: they change no weight behind the embedding."""

_OF_THE_HEAD = ("cosine_margin", "cosine_scale")
"""Settings of the network whose keys are in train.optim."""


def hand_over(spec: ExperimentSpec, action: Consumer) -> tuple[ExperimentSpec, Checkpoint]:
    """Finds and reads the checkpoint of an action, and fills the spec with all that follows from it.

    `model.neck_feat` and `model.with_flip_feature` follow the spec where it sets them. Everything else about the
    network and its input is the checkpoint's; a spec that says otherwise is refused.

    Returns:
        The spec with `<action>.checkpoint`, the output paths, the `model` section and the pixel values filled in; and
        the checkpoint.

    Raises:
        SpecError: no place to look for a checkpoint is set, or two are.
        CheckpointError: it is not there, or it is of another network than the spec describes.
    """
    path = find_checkpoint(spec, action)
    checkpoint = load_checkpoint(path, encryption_key=spec.encryption_key)
    _require_same_network(spec, checkpoint)
    given = spec.model.model_fields_set
    chosen = {key: getattr(spec.model, key) for key in VECTOR if key in given}
    checkpoint = replace(checkpoint, network=replace(checkpoint.network, **chosen))
    log.info("%s uses %s (epoch %d)", action, path, checkpoint.epoch)
    return _filled(spec, action, checkpoint), checkpoint


def _filled(spec: ExperimentSpec, action: Consumer, checkpoint: Checkpoint) -> ExperimentSpec:
    own = getattr(spec, action)
    folder = spec.results_folder(action)
    names = OUTPUTS[action] | ({"output_file": recipe_of(spec).answer_file} if action == "inference" else {})
    outputs = {key: getattr(own, key) or str(folder / name) for key, name in names.items()}
    network = checkpoint.network.to_dict()
    head = {key: network[key] for key in _OF_THE_HEAD}
    pixels = Preprocess.from_dict(checkpoint.preprocess)
    return spec.model_copy(
        update={
            action: own.model_copy(update={"checkpoint": str(checkpoint.path), "parent_run": "", **outputs}),
            "model": _with(spec.model, network),
            "train": spec.train.model_copy(update={"optim": _with(spec.train.optim, head)}),
            "dataset": spec.dataset.model_copy(update={"pixel_mean": pixels.mean, "pixel_std": pixels.std}),
        }
    )


def _with(section: Section, network: dict[str, Any]) -> Section:
    """The section with those of the network's settings that are keys of it."""
    keys = type(section).model_fields
    return section.model_copy(update={key: value for key, value in network.items() if key in keys})


def _require_same_network(spec: ExperimentSpec, checkpoint: Checkpoint) -> None:
    recipe = recipe_of(spec).training()
    wanted: dict[str, Any] = recipe.network(spec, num_classes=1).to_dict()
    wanted["backbone"] = timm_name(wanted["backbone"])
    there = checkpoint.network.to_dict()
    there["backbone"] = timm_name(there["backbone"])
    asked = spec.model.model_fields_set - _FREE
    differing = [
        f"model.{key} is {wanted[key]} in the spec and {there[key]} in the checkpoint"
        for key in there
        if key in asked and wanted[key] != there[key]
    ]
    ours, theirs = recipe.preprocess(spec), Preprocess.from_dict(checkpoint.preprocess)
    differing += [
        f"dataset.pixel_{name} is {getattr(ours, name)} in the spec and {getattr(theirs, name)} in the checkpoint"
        for name in ("mean", "std")
        if f"pixel_{name}" in spec.dataset.model_fields_set and getattr(ours, name) != getattr(theirs, name)
    ]
    if differing:
        raise CheckpointError(
            f"{checkpoint.path} is of another network than the spec: {'; '.join(differing)}",
            "its weights were trained with those settings and mean nothing with others",
            "give the checkpoint of this spec's training, or take these keys out of the spec to use the checkpoint's",
        )
