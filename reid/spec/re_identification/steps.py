"""The `evaluate`, `inference` and `promote` blocks of re_identification."""

from __future__ import annotations

from typing import Literal

from reid.spec.base import key, like
from reid.spec.steps import EmbeddingSpec, MeasuringSpec, NetworkUseSpec, PromoteSpec

_TEST = "Gallery images; empty: dataset.test_dataset_dir."
_QUERY = "Query images; empty: dataset.query_dataset_dir."
_BATCH = "Images in a batch; -1: dataset.val_batch_size."


class EvaluateSpec(MeasuringSpec):
    """Measuring a checkpoint on a query and a gallery set."""

    checkpoint: str = like(NetworkUseSpec, "checkpoint", description="Checkpoint to measure.")
    test_dataset: str = key("", _TEST)
    query_dataset: str = key("", _QUERY)
    batch_size: int = key(-1, _BATCH, ge=-1)
    exclude: Literal["same_camera", "same_image", "none"] = key(
        "same_camera",
        "Gallery images left out of a query's ranking: those of its identity by its own camera (Market-1501), only the "
        "query image itself, or none.",
        ours=True,
    )


class InferenceSpec(EmbeddingSpec):
    """Computing the embedding of every image."""

    test_dataset: str = key("", _TEST)
    query_dataset: str = key("", _QUERY)
    batch_size: int = key(-1, _BATCH, ge=-1)
    output_file: str = key("", "JSON file of the embeddings; empty: inference.json in the results folder.")


class RetrievalPromoteSpec(PromoteSpec):
    """Moving the alias `champion` to a better model."""

    metric: Literal["mAP", "mINP", "cmc_rank_1", "cmc_rank_5", "cmc_rank_10"] = key(
        "mAP", "Figure that decides.", ours=True
    )
