"""The `evaluate`, `inference`, `export` and `promote` blocks of ml_recog."""

from __future__ import annotations

from typing import Literal

from reid.spec.base import key, like
from reid.spec.steps import EmbeddingSpec, ExportSpec, MeasuringSpec, NetworkUseSpec, PromoteSpec

_DEFAULT_OPSET = 14


class EvaluateSpec(MeasuringSpec):
    """Measuring a checkpoint: queries against references."""

    checkpoint: str = like(NetworkUseSpec, "checkpoint", description="Checkpoint to measure.")
    batch_size: int = key(4, "Images in a batch.", ge=-1, tao_bounds=(None, None))
    topk: int = key(
        1, "Nearest references whose classes are listed for a query, in result.csv.", ge=1, tao_bounds=(None, None)
    )
    reference_dataset: str = key(
        "", "Class folders of the references to measure with; empty: dataset.val_dataset.reference.", ours=True
    )
    query_dataset: str = key(
        "", "Class folders of the queries to measure with; empty: dataset.val_dataset.query.", ours=True
    )
    report_accuracy_per_class: bool = key(
        True, "Average the figures over classes, not over images, and write the table of classes."
    )
    exclude: Literal["same_image", "none"] = key(
        "none",
        "References left out of a query's ranking: none, or the query image itself where it is a reference too.",
        ours=True,
    )


class InferenceSpec(EmbeddingSpec):
    """Recognising images by the nearest of the references."""

    inference_input_type: Literal["image", "image_folder", "classification_folder"] = key(
        "classification_folder",
        "What input_path is: one image, a folder of images, or class folders.",
        tao_type="categorical",
    )
    input_path: str = key("", "Images to recognise.", mandatory=True)
    batch_size: int = key(1, "Images in a batch.", ge=-1, tao_bounds=(None, None))
    topk: int = key(1, "Nearest references whose classes are listed for an image.", ge=1, tao_bounds=(None, None))
    output_file: str = key("", "CSV file of the answers; empty: result.csv in the results folder.", ours=True)
    gallery: str = key(
        "", "Gallery file that holds the references, instead of dataset.val_dataset.reference.", ours=True
    )
    threshold: float | None = key(
        None,
        "Distance, squared as in the answers, from which on an image is of none of the classes; not set: the limit "
        "that evaluation names.",
        ge=0,
        ours=True,
    )
    evaluation: str = key(
        "",
        "metrics.json of an evaluation, whose open_set limit is used where threshold is not set; empty: every image "
        "gets a class.",
        ours=True,
    )


class RecognitionExportSpec(ExportSpec):
    """Writing a checkpoint as ONNX."""

    batch_size: int = key(
        -1,
        "Images that the network takes at once; -1: any number.",
        ge=-1,
        tao_bounds=(None, None),
        no_effect="the exported network takes any number of images",
    )
    gpu_id: int = like(ExportSpec, "gpu_id", tao_bounds=(None, None))
    on_cpu: bool = key(False, "Export on the CPU.", no_effect="the export always runs on the CPU")
    opset_version: int = like(
        ExportSpec,
        "opset_version",
        default=_DEFAULT_OPSET,
        description="ONNX operator set; below 18, which is the oldest that is written, 18.",
        ge=_DEFAULT_OPSET,
        tao_bounds=(None, None),
    )
    verbose: bool = key(
        True, "Print the exported graph.", no_effect="-v on the command line shows more of every action"
    )


class RecognitionPromoteSpec(PromoteSpec):
    """Moving the alias `champion` to a better model."""

    metric: Literal[
        "test Precision at Rank 1",
        "test Mean Average Precision",
        "test Mean Reciprocal Rank",
        "test r-Precision",
        "test_AMI",
        "test_NMI",
        "mAP",
        "mINP",
        "cmc_rank_1",
        "cmc_rank_5",
        "cmc_rank_10",
    ] = key("test Precision at Rank 1", "Figure that decides.", ours=True)
