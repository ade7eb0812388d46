"""Coloured blobs in class folders, specs for them, and one training that all tests here share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid.actions.evaluate import evaluate
from reid.actions.train import train
from reid.spec.load import load_spec
from reid.spec.ml_recog import MlRecogSpec

KNOWN = {
    "apple": (200, 30, 30), "banana": (220, 210, 40), "fig": (90, 40, 130), "lime": (60, 190, 60),
    "orange": (240, 140, 20), "plum": (40, 40, 190),
}  # fmt: skip
"""Classes of the training and the colours of their blobs."""

UNKNOWN = {"kiwi": (120, 90, 40), "peach": (250, 190, 170)}

TRAIN_IMAGES, REFERENCES, QUERIES = 8, 3, 2
"""Of each class."""

MakeSpec = Callable[..., MlRecogSpec]


@dataclass(frozen=True)
class Places:
    """Class folders: of training, references and queries of the known classes; and of references of the unknown."""

    train: Path
    reference: Path
    query: Path
    unknown: Path


def draw_blob(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    """A disc of a colour, somewhere on a grey that differs from picture to picture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 16 - random.integers(-3, 4, (2, 1, 1))
    disc = (x**2 + y**2 < random.integers(8, 13) ** 2)[..., None]
    pixels = np.where(disc, colour, random.integers(60, 200)) + random.normal(0, 12, (32, 32, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def draw_classes(root: Path, colours: dict[str, tuple[int, int, int]], count: int, *, seed: int) -> Path:
    for number, (name, colour) in enumerate(colours.items()):
        for image in range(count):
            draw_blob(root / name / f"{image}.png", colour, seed=seed + 100 * number + image)
    return root


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Places:
    root = tmp_path_factory.mktemp("blobs")
    return Places(
        draw_classes(root / "train", KNOWN, TRAIN_IMAGES, seed=0),
        draw_classes(root / "reference", KNOWN, REFERENCES, seed=1000),
        draw_classes(root / "query", KNOWN, QUERIES, seed=2000),
        draw_classes(root / "unknown", UNKNOWN, REFERENCES, seed=3000),
    )


@pytest.fixture(scope="session")
def make_recognition(classes: Places, tmp_path_factory: pytest.TempPathFactory) -> MakeSpec:
    """A spec of a tiny network on those pictures; later overrides win."""
    cache = tmp_path_factory.mktemp("cache")

    def make(action: str, results: Path, *overrides: str) -> MlRecogSpec:
        tiny = (
            f"results_dir={results}",
            "device=cpu",
            "embedding_engine=torch",
            "model.backbone=test_resnet",
            "model.pretrain_choice=",
            "model.input_height=32",
            "model.input_width=32",
            "model.feat_dim=16",
            f"dataset.cache_dir={cache}",
            "dataset.workers=1",
            "dataset.gaussian_blur.kernel=[3,3]",
            "train.batch_size=16",
            "train.num_epochs=2",
            "train.optim.warmup_iters=2",
            "re_ranking.num_query=2",
            "re_ranking.max_rank=3",
            f"dataset.train_dataset={classes.train}",
            f"dataset.val_dataset.reference={classes.reference}",
            f"dataset.val_dataset.query={classes.query}",
        )
        spec = load_spec(action, None, [*tiny, *overrides], family="ml_recog").spec
        assert isinstance(spec, MlRecogSpec)
        return spec

    return make


@pytest.fixture(scope="session")
def learnt(make_recognition: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of a finished training of two epochs; tests only read it."""
    results = tmp_path_factory.mktemp("learnt")
    train(make_recognition("train", results))
    return results


@pytest.fixture(scope="session")
def measured(learnt: Path, make_recognition: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its evaluation, without report and pictures; tests only read it."""
    results = tmp_path_factory.mktemp("measured")
    evaluate(make_recognition("evaluate", results, f"evaluate.parent_run={learnt}", "evaluate.topk=2"))
    return results / "evaluate"
