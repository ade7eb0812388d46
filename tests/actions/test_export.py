"""`export`: TAO's names, any batch size, and the same embeddings as `inference`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from reid.actions.export import export
from reid.actions.inference import inference
from reid.data.images import Preprocess, load_image, normalise
from reid.errors import CheckpointError
from tests.actions.conftest import MakeSpec, Places


@pytest.fixture(scope="module")
def exported(trained: Path, make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("export")
    export(make_spec("export", results, f"export.parent_run={trained}", "export.verify_images=5"))
    return results / "export"


def test_input_and_output_have_taos_names_and_any_batch_size_works(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])

    assert [i.name for i in session.get_inputs()] == ["input"]
    assert [o.name for o in session.get_outputs()] == ["fc_pred"]
    for batch in (1, 2, 17):
        images = np.zeros((batch, 3, 64, 32), np.float32)
        assert session.run(["fc_pred"], {"input": images})[0].shape == (batch, 32)


def test_the_description_holds_parity_on_real_pictures_and_the_preprocessing(exported: Path) -> None:
    described = json.loads((exported / "model.json").read_text())

    assert described["parity"]["images"] == 5
    assert 0 <= described["parity"]["max_abs_difference"] < 1e-3
    assert described["opset"] == 18
    rule = described["preprocess"]
    assert (rule["height"], rule["width"], rule["interpolation"]) == (64, 32, "bilinear")


def test_the_exported_network_gives_the_embeddings_of_inference(
    exported: Path, trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    inference(make_spec("inference", tmp_path, f"inference.parent_run={trained}", "dataset.test_dataset_dir="))
    entries = json.loads((tmp_path / "inference" / "inference.json").read_text())
    rule = json.loads((exported / "model.json").read_text())["preprocess"]
    preprocess = Preprocess.from_dict(rule)
    pixels = np.stack(
        [
            load_image(
                Path(e["img_path"]),
                height=preprocess.height,
                width=preprocess.width,
                interpolation=preprocess.interpolation,
            )
            for e in entries
        ]
    )
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])

    got = session.run(["fc_pred"], {"input": normalise(pixels, preprocess.mean, preprocess.std)})[0]

    assert np.allclose(got, np.array([e["embedding"] for e in entries], np.float32), atol=1e-4)


def test_a_file_may_be_named_and_a_missing_checkpoint_leaves_none(make_spec: MakeSpec, tmp_path: Path) -> None:
    target = tmp_path / "mine.onnx"

    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*absent\.pth"):
        export(make_spec("export", tmp_path, f"export.checkpoint={tmp_path}/absent.pth", f"export.onnx_file={target}"))

    assert not target.exists()
