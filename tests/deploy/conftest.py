"""A small network, real-looking pictures of several sizes, and one export of it for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reid.data.images import Preprocess, load_image
from reid.deploy.onnx import export_onnx
from reid.deploy.parity import Parity

PREPROCESS = Preprocess(64, 32, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
EMBEDDING_SIZE = 16


@dataclass(frozen=True)
class Exported:
    network: nn.Module
    path: Path
    pictures: list[Path]
    parity: Parity


def small_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((2, 1)),
        nn.Flatten(),
        nn.Linear(16, EMBEDDING_SIZE),
    ).eval()


def draw_pictures(folder: Path, count: int = 5) -> list[Path]:
    """Smooth colour fields with a darker figure, in sizes that all differ from the network's."""
    random = np.random.default_rng(7)
    paths = []
    for index in range(count):
        low = random.integers(0, 256, (6, 4, 3), dtype=np.uint8)
        image = Image.fromarray(low).resize((40 + 3 * index, 90 + 5 * index), Image.Resampling.BICUBIC)
        image.paste((30 * index, 60, 90), (10, 20, 30, 70))
        paths.append(folder / f"{index:04d}_c1.{'png' if index % 2 else 'jpg'}")
        image.save(paths[-1])
    return paths


def loaded(paths: list[Path]) -> np.ndarray:
    rule = {"height": PREPROCESS.height, "width": PREPROCESS.width, "interpolation": PREPROCESS.interpolation}
    return np.stack([load_image(path, **rule) for path in paths])


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    network, pictures = small_network(), draw_pictures(folder)
    path = folder / "model.onnx"
    parity = export_onnx(
        network, path, preprocess=PREPROCESS, images=loaded(pictures), metadata={"checkpoint_sha256": "c0ffee"}
    )
    return Exported(network, path, pictures, parity)
