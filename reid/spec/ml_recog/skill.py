"""What TAO's `skill_info.yaml` says about the inputs of ml_recog's actions."""

from __future__ import annotations

_ARCHIVES = "metric_learning_recognition/retail-product-checkout-dataset_classification_demo"

SUBSETS: dict[str, dict[str, str]] = {
    "train": {
        "dataset.train_dataset": f"{_ARCHIVES}/known_classes/train.tar.gz",
        "dataset.val_dataset.reference": f"{_ARCHIVES}/known_classes/reference.tar.gz",
        "dataset.val_dataset.query": f"{_ARCHIVES}/known_classes/val.tar.gz",
    },
    "evaluate": {
        "dataset.val_dataset.reference": f"{_ARCHIVES}/unknown_classes/reference.tar.gz",
        "dataset.val_dataset.query": f"{_ARCHIVES}/unknown_classes/test.tar.gz",
    },
    "inference": {
        "dataset.val_dataset.reference": f"{_ARCHIVES}/unknown_classes/reference.tar.gz",
        "inference.input_path": f"{_ARCHIVES}/unknown_classes/test.tar.gz",
    },
    "export": {},
}
"""Keys of each action that take images, and the archive that TAO's skill has there."""

HAND_OVER: dict[str, dict[str, str]] = {
    "train": {
        "encryption_key": "key",
        "model.pretrained_model_path": "ptm_if_no_resume_model",
        "results_dir": "output_dir",
        "train.resume_training_checkpoint_path": "resume_model",
    },
    "evaluate": {"encryption_key": "key", "evaluate.checkpoint": "parent_model", "results_dir": "output_dir"},
    "inference": {"encryption_key": "key", "inference.checkpoint": "parent_model", "results_dir": "output_dir"},
    "export": {
        "encryption_key": "key",
        "export.checkpoint": "parent_model",
        "export.onnx_file": "create_onnx_file",
        "results_dir": "output_dir",
    },
}
"""Keys that TAO's services fill, and what with."""
