"""What keys of recognition do in a training, and what its checkpoint hands over to a later action."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from reid.actions.evaluate import evaluate
from reid.actions.recipes.table import recipe_of
from reid.actions.train import train
from reid.model.checkpoint import load_checkpoint
from reid.spec.load import load_spec
from reid.spec.ml_recog import MlRecogSpec
from tests.actions.conftest import draw

Make = Callable[..., MlRecogSpec]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A spec of a tiny network on two classes; later overrides win."""
    root = tmp_path_factory.mktemp("classes")
    for subset, count in (("train", 4), ("reference", 2), ("query", 1)):
        for pid in (1, 2):
            folder = root / subset / f"thing{pid}"
            folder.mkdir(parents=True)
            for number in range(count):
                draw(folder / f"{subset}{number}.jpg", pid, seed=100 * pid + number + 10 * len(subset))
    tiny = [
        f"results_dir={root / 'results'}", "device=cpu", "mlflow.enable=false", "model.backbone=test_resnet",
        "model.pretrain_choice=", "model.input_height=64", "model.input_width=64", "model.feat_dim=8",
        f"dataset.cache_dir={root / 'cache'}", "dataset.workers=1", "train.batch_size=8", "train.num_epochs=1",
        f"dataset.train_dataset={root / 'train'}", f"dataset.val_dataset.reference={root / 'reference'}",
        f"dataset.val_dataset.query={root / 'query'}",
    ]  # fmt: skip

    def made(action: str, *overrides: str) -> MlRecogSpec:
        spec = load_spec(action, None, [*tiny, *overrides], family="ml_recog").spec
        assert isinstance(spec, MlRecogSpec)
        return spec

    return made


@pytest.fixture(scope="module")
def trained(make: Make) -> Path:
    """Checkpoint of an epoch with frozen batch norms."""
    found = train(make("train", "train.freeze_batch_norm=true", "train.optim.embedder.base_lr=0.001"))
    return (found.results_dir / "ml_model_latest.pth").resolve()


def test_frozen_batch_norms_end_with_the_statistics_of_the_random_start(trained: Path) -> None:
    weights = load_checkpoint(trained).weights

    means = [tensor for name, tensor in weights.items() if name.endswith("running_mean")]
    assert means
    assert not any(torch.any(tensor) for tensor in means)


def test_an_evaluation_keeps_the_block_of_the_embedders_rates_which_has_the_name_of_a_networks_part(
    trained: Path, make: Make
) -> None:
    found = evaluate(make("evaluate", f"evaluate.checkpoint={trained}", "train.optim.embedder.base_lr=0.002"))

    written = yaml.safe_load((found.results_dir / "experiment.yaml").read_text(encoding="utf-8"))
    assert written["train"]["optim"]["embedder"]["base_lr"] == 0.002
    assert written["model"]["feat_dim"] == 8


def test_min_crop_area_is_the_least_share_of_an_image_that_is_cut_out(make: Make) -> None:
    spec = make("train", "dataset.min_crop_area=0.9")

    crop = recipe_of(spec).training().augmentation(spec).resized_crop

    assert crop is not None
    boxes = crop.draw(200, 73, 73, torch.Generator().manual_seed(0))
    shares = boxes[:, 2] * boxes[:, 3] / 73**2
    assert 0.88 < float(shares.min()) < 0.95  # sides are whole pixels
