"""Other names that keys of ml_recog have in TAO's skill, and in re_identification."""

from __future__ import annotations

SHORTHANDS = {
    "num_epochs": "train.num_epochs",
    "batch_size": "train.batch_size",
    "val_batch_size": "train.val_batch_size",
    "eval_batch_size": "evaluate.batch_size",
    "infer_batch_size": "inference.batch_size",
    "trunk_learning_rate": "train.optim.trunk.base_lr",
    "embedder_learning_rate": "train.optim.embedder.base_lr",
    "feat_dim": "model.feat_dim",
    "input_width": "model.input_width",
    "input_height": "model.input_height",
    "resume_checkpoint": "train.resume_training_checkpoint_path",
}
"""Root keys that TAO's skill accepts for a key of a block."""

RENAMED_KEYS = {
    "train.optim.lr_steps": "train.optim.steps",
    "train.grad_clip": "train.clip_grad_norm",
    "dataset.batch_size": "train.batch_size",
    "dataset.val_batch_size": "train.val_batch_size",
    "dataset.num_instances": "dataset.num_instance",
    "dataset.num_workers": "dataset.workers",
}
"""Keys that mean the same in re_identification and have another name there."""

RENAMED_ROOTS = {"optim": "train.optim"}
"""The optimiser's block where TAO's skills write it at the root."""
