"""Small coloured pictures in Market-1501 naming, specs for them, and one training that all tests here share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid.actions.train import train
from reid.spec.load import load_spec
from reid.spec.re_identification import ReIdentificationSpec

TRAIN_COUNTS = {1: 4, 2: 9, 3: 13, 4: 2, 7: 7, 8: 8}
"""Training images of each identity: unequal, and one with fewer than K = 4."""

MakeSpec = Callable[..., ReIdentificationSpec]


@dataclass(frozen=True)
class Places:
    """Folders of images: training, query and gallery."""

    train: Path
    query: Path
    gallery: Path


def draw(path: Path, pid: int, seed: int) -> None:
    """An identity is a pair of colours; pictures of it differ by noise and brightness."""
    random = np.random.default_rng([seed, pid + 1])
    colours = np.random.default_rng(pid + 1).integers(30, 226, (2, 1, 1, 3))
    body = np.concatenate([np.broadcast_to(colour, (32, 32, 3)) for colour in colours])
    pixels = np.clip(body * random.uniform(0.6, 1.3) + random.normal(0, 30, body.shape), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def draw_places(root: Path) -> Places:
    places = Places(root / "train", root / "query", root / "gallery")
    for folder in (places.train, places.query, places.gallery):
        folder.mkdir(parents=True)
    seed = 0
    for pid, count in TRAIN_COUNTS.items():
        for i in range(count):
            draw(places.train / f"{pid:04d}_c{1 + i % 2}s1_{i:06d}_00.jpg", pid, seed := seed + 1)
    for pid in range(20, 28):
        draw(places.query / f"{pid:04d}_c1s1_000001_00.jpg", pid, seed := seed + 1)
        for camid in (1, 2, 3):
            draw(places.gallery / f"{pid:04d}_c{camid}s1_000002_00.jpg", pid, seed := seed + 1)
    draw(places.gallery / "-1_c2s1_000003_00.jpg", 40, seed := seed + 1)
    draw(places.gallery / "0000_c2s1_000004_00.jpg", 41, seed := seed + 1)
    draw(places.gallery / "0020_c4s1_000005_00.png", 20, seed := seed + 1)
    draw(places.gallery / "stranger.jpg", 42, seed := seed + 1)
    (places.gallery / "Thumbs.db").write_bytes(b"not an image")
    return places


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are too small for several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return draw_places(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def make_spec(places: Places, tmp_path_factory: pytest.TempPathFactory) -> MakeSpec:
    """A spec of a tiny network on those pictures; later overrides win."""
    cache = tmp_path_factory.mktemp("cache")

    def make(action: str, results: Path, *overrides: str) -> ReIdentificationSpec:
        tiny = (
            f"results_dir={results}",
            "device=cpu",
            "model.backbone=test_resnet",
            "model.pretrain_choice=",
            "model.input_height=64",
            "model.input_width=32",
            "model.feat_dim=32",
            f"dataset.cache_dir={cache}",
            "dataset.num_workers=1",
            "dataset.batch_size=8",
            "dataset.num_instances=4",
            "train.num_epochs=3",
            "train.optim.warmup_iters=2",
            "re_ranking.num_query=2",
            f"dataset.train_dataset_dir={places.train}",
            f"dataset.query_dataset_dir={places.query}",
            f"dataset.test_dataset_dir={places.gallery}",
        )
        return load_spec(action, None, [*tiny, *overrides]).spec

    return make


@pytest.fixture(scope="session")
def trained(make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of a finished training of three epochs; tests only read it."""
    results = tmp_path_factory.mktemp("results")
    train(make_spec("train", results))
    return results
