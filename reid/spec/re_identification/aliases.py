"""Other names that keys of re_identification have in TAO's documents, skills and older versions."""

from __future__ import annotations

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
