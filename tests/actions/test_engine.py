"""`embedding_engine`: what embeds, that it is said, and that the embeddings are the same."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from reid.actions.engine import embedder_of
from reid.actions.evaluate import evaluate
from reid.actions.inference import inference
from reid.data.images import Preprocess
from reid.data.pack import Pack, pack_images
from reid.devices import Hardware
from reid.errors import SpecError
from reid.model.checkpoint import Checkpoint, load_checkpoint
from tests.actions.conftest import MakeSpec, Places

HARDWARE = Hardware(torch.device("cpu"))


def embeddings(file: Path) -> np.ndarray:
    return np.stack(pq.read_table(file)["embedding"].to_pylist())


def made_by(file: Path) -> dict[str, str]:
    read: dict[str, str] = json.loads(pq.read_schema(file).metadata[b"reid"])
    return read


def test_onnxruntime_writes_the_embeddings_of_torch_and_says_so(
    make_spec: MakeSpec, trained: Path, tmp_path: Path
) -> None:
    checkpoint = f"inference.checkpoint={trained}/train/model_best.pth"
    tables = {
        engine: inference(make_spec("inference", tmp_path / engine, checkpoint, f"embedding_engine={engine}")).files[
            "embeddings"
        ]
        for engine in ("torch", "onnxruntime")
    }

    assert {engine: made_by(table)["embedding_engine"] for engine, table in tables.items()} == {
        "torch": "torch", "onnxruntime": "onnxruntime",
    }  # fmt: skip
    assert np.allclose(embeddings(tables["onnxruntime"]), embeddings(tables["torch"]), rtol=0, atol=1e-5)
    assert not np.array_equal(embeddings(tables["onnxruntime"]), embeddings(tables["torch"]))  # it did compute them


def test_few_images_are_embedded_by_torch_and_metrics_json_says_so(
    make_spec: MakeSpec, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="reid"):
        result = evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={trained}/train/model_best.pth"))

    assert json.loads(result.files["metrics"].read_text())["embedding_engine"] == "torch"
    (line,) = [record.message for record in caplog.records if record.name == "reid.actions.engine"]
    assert line.startswith("torch embeds 34 images: ")


@pytest.fixture
def one_query(trained: Path, places: Places, tmp_path: Path) -> tuple[Checkpoint, Pack]:
    checkpoint = load_checkpoint(trained / "train" / "model_best.pth")
    rule = Preprocess.from_dict(checkpoint.preprocess)
    query = sorted(places.query.iterdir())[:1]
    size = {"height": rule.height, "width": rule.width, "interpolation": rule.interpolation}
    return checkpoint, pack_images(query, cache_dir=tmp_path, **size)


def test_many_images_are_embedded_by_onnxruntime_on_a_cpu(
    make_spec: MakeSpec, one_query: tuple[Checkpoint, Pack], tmp_path: Path
) -> None:
    spec = make_spec("evaluate", tmp_path)
    engines = {
        images: embedder_of(
            spec, *one_query, images=images, hardware=HARDWARE, cache_dir=Path(spec.dataset.cache_dir)
        ).engine
        for images in (100, 100_000)
    }

    assert engines == {100: "torch", 100_000: "onnxruntime"}


def test_onnxruntime_is_refused_where_the_network_is_not_on_the_cpu(
    make_spec: MakeSpec, one_query: tuple[Checkpoint, Pack], tmp_path: Path
) -> None:
    spec = make_spec("evaluate", tmp_path, "embedding_engine=onnxruntime")

    with pytest.raises(SpecError, match=r"embedding_engine=onnxruntime, and the network runs on mps.*device=cpu"):
        embedder_of(spec, *one_query, images=1, hardware=Hardware(torch.device("mps")), cache_dir=tmp_path)
