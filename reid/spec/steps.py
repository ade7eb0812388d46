"""What the blocks of select, evaluate, inference, export, register and promote share in both families."""

from __future__ import annotations

from typing import Literal, get_args

from reid.spec.base import BYTES_PER_GB, Section, key
from reid.spec.training import GpuIds

OLDEST_OPSET = 18
"""The oldest ONNX operator set that the export writes."""

_NO_TENSORRT = "TensorRT engines are not read in this release; give a checkpoint"
_PARENT = "MLflow run id or results folder whose checkpoint is used when checkpoint is empty."


class SelectSpec(Section):
    """Choosing one of the checkpoints that a training left."""

    method: Literal["best_model", "latest_model", "from_epoch_number"] = key(
        "best_model",
        "Which checkpoint: the best by cmc_rank_1 (mAP breaks ties), the newest, or that of epoch_number.",
        ours=True,
    )
    epoch_number: int | None = key(None, "Epoch asked for by from_epoch_number, counted from 0.", ge=0, ours=True)
    run: str = key("", "MLflow run id or results folder to choose from; empty: <results_dir>/train.", ours=True)
    results_dir: str = key("", "Folder of the results; empty: <results_dir>/select.", ours=True)


class NetworkUseSpec(Section):
    """A checkpoint, and the devices that embed images with it."""

    num_gpus: int = key(1, "GPUs that share the images; on device: cpu, processes.", ge=1, popular=True)
    gpu_ids: GpuIds = key((0,), "Numbers of the GPUs.", popular=True, automl=False)
    num_nodes: int = key(1, "Machines that share the images, started by torchrun.", ge=1, popular=True)
    checkpoint: str = key("", "Checkpoint to use.", mandatory=True)
    parent_run: str = key("", _PARENT, ours=True)
    batch_size: int
    trt_engine: str = key("", "TensorRT engine to use.", no_effect=_NO_TENSORRT)


class MeasuringSpec(NetworkUseSpec):
    """What is measured, by which protocol, and what is written of it."""

    results_dir: str = key("", "Folder of the results; empty: <results_dir>/evaluate.")
    output_cmc_curve_plot: str = key(
        "", "File of the CMC plot; empty: cmc_curve.png in the results folder.", ours="ml_recog"
    )
    output_sampled_matches_plot: str = key(
        "", "File of the match plot; empty: sampled_matches.png in the results folder.", ours="ml_recog"
    )
    embeddings: str = key(
        "",
        "File of embeddings to measure instead of a checkpoint: .npz with query and gallery, or .parquet or TAO's "
        "inference.json, where the place of the query images tells which are queries.",
        ours=True,
    )
    query_embeddings: str = key("", "File of the query embeddings alone: .npz, .parquet or inference.json.", ours=True)
    gallery_embeddings: str = key(
        "", "File of the gallery embeddings alone: .npz, .parquet or inference.json.", ours=True
    )
    exclude: Literal["same_camera", "same_image", "none"]
    average_precision: Literal["sum", "trapezoid"] = key(
        "sum", "Form of AP: the mean of precision at each match, or Market-1501's original trapezoids.", ours=True
    )
    l2_normalise: bool = key(
        True, "Scale embeddings to unit length before distances; false: raw Euclidean distance.", ours=True
    )
    query_expansion: Literal["none", "aqe", "alpha_qe"] = key(
        "none",
        "Replace each query by the mean of itself and its nearest gallery images, unweighted or by similarity to the "
        "power of expansion_alpha.",
        ours=True,
    )
    expansion_k: int = key(5, "Gallery images averaged into a query by query_expansion.", ge=1, ours=True)
    expansion_alpha: float = key(3.0, "Exponent of the similarity in alpha_qe.", ge=0, ours=True)
    augmentation_k: int = key(
        0, "Replace each gallery embedding by the mean of itself and this many nearest others; 0: off.", ge=0, ours=True
    )
    memory_gb: float = key(
        1.0, "Working memory of distances and ranking beside the embeddings themselves, gigabytes.", gt=0, ours=True
    )
    bootstrap: int = key(
        1000, "Resamples of the query identities for the 95 % intervals; 0: no intervals.", ge=0, ours=True
    )
    report: bool = key(True, "Write report.html, a page with figures and ranked galleries.", ours=True)

    @property
    def memory_bytes(self) -> int:
        """`memory_gb` in bytes."""
        return int(self.memory_gb * BYTES_PER_GB)


class EmbeddingSpec(NetworkUseSpec):
    """Embedding images, and what is done with them."""

    output_file: str
    results_dir: str = key("", "Folder of the results; empty: <results_dir>/inference.")


class ExportSpec(Section):
    """Writing a checkpoint as ONNX."""

    checkpoint: str = key("", "Checkpoint to export; empty: that of parent_run, else the selected one.")
    parent_run: str = key("", _PARENT, ours=True)
    onnx_file: str = key("", "File to write; empty: model.onnx in the results folder.")
    gpu_id: int = key(0, "GPU of the export.", ge=0, no_effect="the export runs on the CPU")
    opset_version: int = key(OLDEST_OPSET, "ONNX operator set.", ge=OLDEST_OPSET, le=25, ours="re_identification")
    verify_images: int = key(
        64, "Real images on which the exported network is compared with the trained one.", ge=0, ours=True
    )
    results_dir: str = key("", "Folder of the results; empty: <results_dir>/export.")

    @property
    def written_opset(self) -> int:
        """The operator set of the file: the one asked for, or the oldest that can be written."""
        return max(self.opset_version, OLDEST_OPSET)


class RegisterSpec(Section):
    """Putting an export into the MLflow model registry."""

    results_dir: str = key("", "Folder of the results; empty: <results_dir>/register.", ours=True)


class PromoteSpec(Section):
    """Moving the alias `champion` to a better model."""

    metric: str
    min_gain: float = key(0.0, "The challenger must be better by more than this, as a fraction.", ge=0, le=1, ours=True)
    results_dir: str = key("", "Folder of the results; empty: <results_dir>/promote.", ours=True)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The figures of an evaluation that can decide, so that a version in the registry carries them."""
        return get_args(type(self).model_fields["metric"].annotation)
