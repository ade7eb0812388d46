"""A network in onnxruntime: the embeddings of torch, converted once, and never another network's."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reid.deploy.engine import in_onnxruntime, multiplications
from reid.errors import ExportError
from tests.deploy.conftest import PREPROCESS

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 64, 32, 3), dtype=np.uint8)


def small_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)).eval()


def test_a_network_is_converted_once_and_computes_what_torch_computes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = small_network(0)
    batch = torch.randn(3, 3, 64, 32).to(memory_format=torch.channels_last)
    settings = {"preprocess": PREPROCESS, "pictures": PICTURES, "cache_dir": tmp_path, "threads": 1}

    with caplog.at_level(logging.INFO, logger="reid"):
        first = in_onnxruntime(network, facts={"checkpoint_sha256": "a"}, **settings)
        again = in_onnxruntime(network, facts={"checkpoint_sha256": "a"}, **settings)

    assert [record.message.split()[0] for record in caplog.records] == ["wrote"]
    assert len(list((tmp_path / "engines").glob("*.onnx"))) == 1
    with torch.inference_mode():
        expected = network(batch)
    torch.testing.assert_close(first(batch), expected, rtol=0, atol=1e-5)
    assert torch.equal(first(batch), again(batch))


def test_a_cached_file_that_computes_something_else_is_refused_and_a_damaged_one_made_again(tmp_path: Path) -> None:
    settings = {"facts": {}, "preprocess": PREPROCESS, "pictures": PICTURES, "cache_dir": tmp_path, "threads": 1}
    in_onnxruntime(small_network(0), **settings)

    with pytest.raises(ExportError, match=r"differs from the network by up to .*5 pictures of this set"):
        in_onnxruntime(small_network(1), **settings)

    (file,) = (tmp_path / "engines").glob("*.onnx")
    file.write_bytes(file.read_bytes()[:-100])
    batch = torch.randn(2, 3, 64, 32)
    network = small_network(1)
    with torch.inference_mode():
        torch.testing.assert_close(in_onnxruntime(network, **settings)(batch), network(batch), rtol=0, atol=1e-5)


def test_multiplications_of_a_convolution_and_a_matrix_are_those_of_a_hand_count() -> None:
    # 4 filters of 3x3x3 at 62 x 30 places, then a 4 x 6 matrix
    assert multiplications(small_network(0), 64, 32) == 4 * 27 * 62 * 30 + 4 * 6
