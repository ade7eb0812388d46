"""What TAO's `skill_info.yaml` says about the inputs of re_identification's actions."""

from __future__ import annotations

SUBSETS: dict[str, dict[str, str]] = {
    "train": {
        "dataset.train_dataset_dir": "sample_train.tar.gz",
        "dataset.test_dataset_dir": "sample_test.tar.gz",
        "dataset.query_dataset_dir": "sample_query.tar.gz",
    },
    "evaluate": {"evaluate.test_dataset": "sample_test.tar.gz", "evaluate.query_dataset": "sample_query.tar.gz"},
    "inference": {"inference.test_dataset": "sample_test.tar.gz", "inference.query_dataset": "sample_query.tar.gz"},
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
"""Keys that TAO's services fill, and what with."""
