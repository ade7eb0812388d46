"""Other names that keys and values have in TAO's documents, skills and older versions."""

from __future__ import annotations

import difflib
from typing import Any

from reid.spec.keys import section_paths, spec_keys

SHORTHANDS = {
    "num_epochs": "train.num_epochs",
    "batch_size": "dataset.batch_size",
    "val_batch_size": "dataset.val_batch_size",
    "evaluate_batch_size": "evaluate.batch_size",
    "inference_batch_size": "inference.batch_size",
    "learning_rate": "train.optim.base_lr",
    "num_gpus": "train.num_gpus",
    "num_workers": "dataset.num_workers",
    "num_classes": "dataset.num_classes",
    "num_instances": "dataset.num_instances",
    "input_width": "model.input_width",
    "input_height": "model.input_height",
    "resume_checkpoint": "train.resume_training_checkpoint_path",
    "pretrained_model": "model.pretrained_model_path",
    "export_onnx": "export.onnx_file",
    "inference_output_file": "inference.output_file",
    "cmc_curve_plot": "evaluate.output_cmc_curve_plot",
    "sampled_matches_plot": "evaluate.output_sampled_matches_plot",
}
"""Root keys that TAO's skill accepts for a key of a block."""

RENAMED_KEYS = {
    "train.optim.steps": "train.optim.lr_steps",
    "train.clip_grad_norm": "train.grad_clip",
    "model.divide_length": "model.devide_length",
}
"""Keys that the documents spell differently from the schema."""

RENAMED_ROOTS = {
    "model_config": "model",
    "train_config": "train",
    "dataset_config": "dataset",
    "re_ranking_config": "re_ranking",
    "optim": "train.optim",
}
"""Blocks of TAO 4.0, and the optimiser's block where the skill writes it at the root."""


def canonical(path: str) -> str:
    """The key's name in this spec; the path itself where no other name applies."""
    root, dot, rest = path.partition(".")
    if root in RENAMED_ROOTS:
        path = f"{RENAMED_ROOTS[root]}{dot}{rest}"
    return RENAMED_KEYS.get(path) or SHORTHANDS.get(path) or path


def canonical_value(path: str, value: Any) -> tuple[Any, str]:
    """The value in this spec's words, and a warning where the change is more than spelling.

    Choices match in any case, so `adam` is `Adam`. YAML reads a bare on or off as true or false; `automl_policy` takes
    them back.
    """
    if path == "automl_policy":
        return {True: "on", False: "off", "auto": "on"}.get(value, value), ""
    if path == "train.optim.warmup_method" and str(value).lower() == "exp":
        return "linear", "train.optim.warmup_method: exp does not exist in TAO's code either; linear is used"
    choices = spec_keys()[path].choices
    same = [choice for choice in choices if isinstance(value, str) and choice.lower() == value.lower()]
    return (same[0] if same else value), ""


def nearest(path: str) -> str:
    """The known key that an unknown one most probably means; empty when none is close."""
    known = sorted(spec_keys(), key=lambda key: not spec_keys()[key].popular)
    name = path.rpartition(".")[2]
    same_name = [key for key in known if key.rpartition(".")[2] == name]
    if same_name and spec_keys()[same_name[0]].popular:
        return same_name[0]
    if same_name:
        return difflib.get_close_matches(path, same_name, n=1, cutoff=0.0)[0]
    candidates = [*known, *SHORTHANDS, *RENAMED_KEYS, *section_paths()]
    whole = difflib.get_close_matches(path, candidates, n=1, cutoff=0.75)
    if whole:
        return canonical(whole[0])
    names = {key.rpartition(".")[2]: key for key in known}
    similar = difflib.get_close_matches(name, list(names), n=1, cutoff=0.7)
    return names[similar[0]] if similar else ""
