"""The ONNX file: what it computes, what it says about itself, and that nothing wrong gets its name."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from reid.data.images import Preprocess, normalise
from reid.deploy.onnx import export_onnx
from reid.errors import ExportError, StorageError
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings
from tests.deploy.conftest import EMBEDDING_SIZE, PREPROCESS, Exported, loaded, small_network


class DiffersWhenExported(nn.Module):
    """Adds 1 to every value, but only in the exported graph."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = images.mean(dim=(2, 3))
        return values + 1 if torch.compiler.is_exporting() else values


class DividesByZero(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        zero = images.mean(dim=(2, 3)) * 0
        return zero / zero


class BranchesOnValues(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)) if images.sum() > 0 else images.amax(dim=(2, 3))


def test_the_file_computes_what_the_network_computes_for_a_batch_it_was_not_checked_with(exported: Exported) -> None:
    inputs = np.random.default_rng(1).normal(size=(7, 3, 64, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])

    (got,) = session.run(["fc_pred"], {"input": inputs})

    with torch.inference_mode():
        expected = exported.network(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_only_the_batch_is_dynamic(exported: Exported) -> None:
    graph = onnx.load(str(exported.path)).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.output]
    }

    assert shapes == {"input": ["batch", 3, 64, 32], "fc_pred": ["batch", EMBEDDING_SIZE]}


def test_parity_is_measured_on_batches_of_1_of_3_and_of_all_five_pictures(exported: Exported) -> None:
    assert exported.parity.batches == (1, 3, 5)
    assert exported.parity.images == 5
    assert exported.parity.max_abs_difference < 1e-5
    assert exported.parity.min_cosine > 0.99999


def test_preprocessing_versions_and_checkpoint_stand_inside_and_beside_the_file(exported: Exported) -> None:
    inside = {entry.key: entry.value for entry in onnx.load(str(exported.path)).metadata_props}
    beside = json.loads(exported.path.with_suffix(".json").read_text())

    assert Preprocess.from_dict(json.loads(inside["preprocess"])) == PREPROCESS
    assert Preprocess.from_dict(beside["preprocess"]) == PREPROCESS
    assert beside["preprocess"] | {"colours": "RGB", "scale": "1/255", "layout": "NCHW"} == beside["preprocess"]
    assert inside["checkpoint_sha256"] == beside["metadata"]["checkpoint_sha256"] == "c0ffee"
    assert json.loads(inside["versions"])["torch"] == beside["versions"]["torch"] == torch.__version__.split("+")[0]
    assert beside["opset"] == 18
    assert beside["parity"]["max_abs_difference"] == exported.parity.max_abs_difference


def test_trunk_and_residual_embedder_are_exported_as_one_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = NetworkSettings("test_vit", 2, 64, 32, embedder="residual", neck="", id_loss_type="none")
    network = ReidNetwork(settings).eval()

    parity = export_onnx(network, tmp_path / "model.onnx", preprocess=PREPROCESS, images=_noise(3))

    assert parity.max_abs_difference < 1e-4
    assert parity.min_cosine > 0.99999


def test_a_file_that_differs_from_the_network_by_1_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the old export")

    with pytest.raises(ExportError, match=r"differs from the trained one by up to 1\.00e\+00"):
        export_onnx(DiffersWhenExported(), path, preprocess=PREPROCESS, images=_noise(4))

    assert path.read_bytes() == b"the old export"
    assert _names(tmp_path) == ["model.onnx"]


def test_a_network_that_gives_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differs from the trained one by up to nan"):
        export_onnx(DividesByZero(), tmp_path / "model.onnx", preprocess=PREPROCESS, images=_noise(2))

    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_exported_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be exported to ONNX with opset 18"):
        export_onnx(BranchesOnValues(), tmp_path / "model.onnx", preprocess=PREPROCESS, images=_noise(2))

    assert list(tmp_path.iterdir()) == []


def test_an_opset_that_the_networks_operators_do_not_have_is_refused_and_a_possible_one_named(tmp_path: Path) -> None:
    global_pool = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    with pytest.raises(ExportError, match=r"use export\.opset_version=18"):
        export_onnx(global_pool, tmp_path / "model.onnx", preprocess=PREPROCESS, images=_noise(2), opset=17)

    assert list(tmp_path.iterdir()) == []


def test_an_existing_export_is_replaced_and_weights_kept_beside_it_go(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(small_network(0), path, preprocess=PREPROCESS, images=_noise(2), weights_beside=True)
    with_weights = _names(tmp_path)

    export_onnx(small_network(1), path, preprocess=PREPROCESS, images=_noise(2))

    assert with_weights == ["model.json", "model.onnx", "model.onnx.data"]
    assert _names(tmp_path) == ["model.json", "model.onnx"]
    inputs = normalise(_noise(2), PREPROCESS.mean, PREPROCESS.std)
    (got,) = onnxruntime.InferenceSession(str(path)).run(None, {"input": inputs})
    with torch.inference_mode():
        np.testing.assert_allclose(got, small_network(1)(torch.from_numpy(inputs)).numpy(), atol=1e-5)


def test_the_callers_network_stays_in_training_mode_and_in_half_precision(tmp_path: Path) -> None:
    network = small_network().train().to(torch.bfloat16)

    export_onnx(network, tmp_path / "model.onnx", preprocess=PREPROCESS, images=_noise(1))

    assert network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"uint8 \[2, 32, 64, 3\]"):
        export_onnx(
            small_network(),
            tmp_path / "model.onnx",
            preprocess=PREPROCESS,
            images=np.zeros((2, 32, 64, 3), np.uint8),
        )


def test_a_disk_that_is_full_after_one_megabyte_leaves_no_file(tmp_path: Path) -> None:
    large = nn.Sequential(small_network(), nn.Linear(EMBEDDING_SIZE, 100_000))  # 6.4 MB of weights
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(StorageError, match="no space left while writing"):
            export_onnx(large, tmp_path / "model.onnx", preprocess=PREPROCESS, images=_noise(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == []


def test_fewer_than_three_pictures_are_repeated_to_fill_the_batch_of_three(tmp_path: Path, exported: Exported) -> None:
    parity = export_onnx(
        exported.network, tmp_path / "model.onnx", preprocess=PREPROCESS, images=loaded(exported.pictures[:2])
    )

    assert parity.batches == (1, 3, 2)


def _noise(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 64, 32, 3), dtype=np.uint8)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
