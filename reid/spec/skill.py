"""What TAO's `skill_info.yaml` says about a model: its actions, their inputs and outputs, and where paths come from."""

from __future__ import annotations

from typing import Any

from reid.spec.aliases import SHORTHANDS
from reid.spec.keys import TAO_ACTIONS

_SUBSETS = {
    "train": {
        "dataset.train_dataset_dir": "train",
        "dataset.test_dataset_dir": "test",
        "dataset.query_dataset_dir": "query",
    },
    "evaluate": {"evaluate.test_dataset": "test", "evaluate.query_dataset": "query"},
    "inference": {"inference.test_dataset": "test", "inference.query_dataset": "query"},
    "export": {},
}
_HAND_OVER = {
    "train": {
        "encryption_key": "key",
        "model.pretrained_model_path": "ptm_if_no_resume_model",
        "results_dir": "output_dir",
        "train.resume_training_checkpoint_path": "resume_model",
    },
    "evaluate": {
        "encryption_key": "key",
        "evaluate.checkpoint": "parent_model",
        "evaluate.output_cmc_curve_plot": "create_evaluate_cmc_plot_reid",
        "evaluate.output_sampled_matches_plot": "create_evaluate_matches_plot_reid",
        "results_dir": "output_dir",
    },
    "inference": {
        "encryption_key": "key",
        "inference.checkpoint": "parent_model",
        "inference.output_file": "create_inference_result_file_reid",
        "results_dir": "output_dir",
    },
    "export": {
        "encryption_key": "key",
        "export.checkpoint": "parent_model",
        "export.onnx_file": "create_onnx_file",
        "results_dir": "output_dir",
    },
}


def skill_info() -> dict[str, Any]:
    """The model's description, ready to be written as YAML. There is no container: `container_image` is empty."""
    return {
        "name": "re-identification",
        "network_arch": "re_identification",
        "automl_enabled": False,  # TAO's layout has the field; this project has no search that it could start
        "container_image": "",
        "gpu_spec_key": "train.num_gpus",
        "actions": {action: _action(action) for action in TAO_ACTIONS},
        "data_sources": {action: _data_sources(action) for action in TAO_ACTIONS if _SUBSETS[action]},
        "spec_params": _HAND_OVER,
        "spec_shorthand_keys": dict(SHORTHANDS),
        "spec_templates": {action: f"references/spec_template_{action}.yaml" for action in TAO_ACTIONS},
    }


def _action(action: str) -> dict[str, Any]:
    inputs = {key: {"type": "folder_or_archive", "optional": False} for key in _SUBSETS[action]}
    if action != "train":
        inputs[f"{action}.checkpoint"] = {"type": "file", "optional": True}
    return {
        "command": f"re_identification {action} -e {{spec}}",
        "config_format": "yaml",
        "mode": action,
        "inputs": inputs,
        "outputs": [action],
        "upload_excludes": ["inputs/"],
    }


def _data_sources(action: str) -> dict[str, Any]:
    return {
        key: {"source": "train_datasets", "path": f"sample_{subset}.tar.gz", "runtime": "folder_or_archive"}
        for key, subset in _SUBSETS[action].items()
    }
