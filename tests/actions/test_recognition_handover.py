"""What a checkpoint of recognition hands over to the spec of a later action."""

from __future__ import annotations

from pathlib import Path

import yaml

from reid.actions.evaluate import evaluate
from reid.actions.train import train
from reid.spec.load import load_spec
from tests.actions.conftest import draw


def test_an_evaluation_keeps_the_block_of_the_embedders_rates_which_has_the_name_of_a_networks_part(
    tmp_path: Path,
) -> None:
    for subset, count in (("train", 4), ("reference", 2), ("query", 1)):
        for pid in (1, 2):
            folder = tmp_path / subset / f"thing{pid}"
            folder.mkdir(parents=True)
            for number in range(count):
                draw(folder / f"{subset}{number}.jpg", pid, seed=100 * pid + number + 10 * len(subset))
    settings = [
        f"results_dir={tmp_path / 'results'}", "device=cpu", "mlflow.enable=false", "model.backbone=test_resnet",
        "model.pretrain_choice=", "model.input_height=64", "model.input_width=64", "model.feat_dim=8",
        f"dataset.cache_dir={tmp_path / 'cache'}", "dataset.workers=1", "train.batch_size=8", "train.num_epochs=1",
        f"dataset.val_dataset.reference={tmp_path / 'reference'}", f"dataset.val_dataset.query={tmp_path / 'query'}",
    ]  # fmt: skip
    place = f"dataset.train_dataset={tmp_path / 'train'}"
    train(load_spec("train", None, [*settings, place, "train.optim.embedder.base_lr=0.001"], family="ml_recog").spec)

    asked = [*settings, "train.optim.embedder.base_lr=0.002"]
    evaluate(load_spec("evaluate", None, asked, family="ml_recog").spec)

    written = yaml.safe_load((tmp_path / "results" / "evaluate" / "experiment.yaml").read_text(encoding="utf-8"))
    assert written["train"]["optim"]["embedder"]["base_lr"] == 0.002
    assert written["model"]["feat_dim"] == 8
