"""Precision at rank 1 on classes that were never trained on, before and after fine-tuning: `recognition.py run FILE`.

The pictures are `../shared/data/grocery`: 54 classes to train on, 27 others to recognise by references that no training
saw. Each measurement is one line of FILE, so that a stopped run goes on where it was; `table FILE` prints the table of
docs/results.md. Figures are those of the last epoch.
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reid.actions.evaluate import evaluate  # noqa: E402 - run as a program, from any folder
from reid.actions.train import train  # noqa: E402
from reid.spec.load import load_spec  # noqa: E402
from tests.benchmarks.lines import LITE0_WEIGHTS, read_lines, spread, write_line  # noqa: E402

GROCERY = ROOT.parent / "shared" / "data" / "grocery"
COMMON = (
    "device=cpu", "cpu_threads=1", "mlflow.enable=false", "model.backbone=tf_efficientnet_lite0",
    "dataset.pixel_mean=[0.5,0.5,0.5]", "dataset.pixel_std=[0.5,0.5,0.5]", "model.input_height=96",
    "model.input_width=96", "dataset.workers=1",
)  # fmt: skip
RECIPE = (
    "model.feat_dim=256", "train.batch_size=32", "train.val_batch_size=32", "train.num_epochs=3",
    "train.optim.warmup_iters=1", "train.optim.trunk.base_lr=0.0003", "train.optim.embedder.base_lr=0.0003",
    "train.smooth_loss=false", "train.freeze_batch_norm=true", "dataset.re_prob=0", "dataset.min_crop_area=0.3",
    "dataset.gaussian_blur.enabled=false", "dataset.color_augmentation.brightness=0.2",
    "dataset.color_augmentation.contrast=0.1", "dataset.color_augmentation.saturation=0.05",
    "dataset.color_augmentation.hue=0.05", "train.keep_checkpoints=0",
)  # fmt: skip
ROWS = {
    "fine-tuned": (),
    "with train.freeze_batch_norm=false": ("train.freeze_batch_norm=false",),
    "with train.smooth_loss=true": ("train.smooth_loss=true",),
    "with TAO's crops, colours, blur and erasing": (
        "dataset.min_crop_area=0.08",
        "dataset.color_augmentation.brightness=0.5", "dataset.color_augmentation.contrast=0.3",
        "dataset.color_augmentation.saturation=0.1", "dataset.color_augmentation.hue=0.1",
        "dataset.gaussian_blur.enabled=true", "dataset.re_prob=0.5",
    ),
}  # fmt: skip
"""Each differs from the first by what its name says."""
UNTRAINED = "untrained: ImageNet, pooled features"
SEEDS = (1, 2, 3)


def experiments() -> dict[str, tuple[str, ...]]:
    """Name ("row | seed") and overrides of every training."""
    return {f"{row} | {seed}": (*changes, f"train.seed={seed}") for row, changes in ROWS.items() for seed in SEEDS}


@click.group()
def main() -> None:
    """Measure recognition."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--only", multiple=True, help="Experiments whose name holds this text.")
@click.option("--set", "more", multiple=True, help="key=value on top, to try a recipe.")
def run(file: Path, only: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Run what is not in FILE yet."""
    done = {row["name"] for row in read_lines(file)}
    with tempfile.TemporaryDirectory() as folder:
        cache = f"dataset.cache_dir={folder}/cache"
        for name, overrides in {f"{UNTRAINED} | 0": (), **experiments()}.items():
            if name in done or not all(part in name for part in only):
                continue
            settings = (*COMMON, *RECIPE, *overrides, *more, cache)
            result = _untrained(settings) if name.startswith(UNTRAINED) else _trained(settings)
            write_line(file, {"name": name, **result})


@main.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def table(file: Path) -> None:
    """Print Markdown: mean and range over the seeds."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for result in read_lines(file):
        rows.setdefault(result["name"].split(" | ")[0], []).append(result)
    click.echo("| | P@1, unknown classes | P@1, known classes | epochs | minutes | seeds |\n|---|---|---|---|---|---|")
    for row, results in rows.items():
        cells = " | ".join(spread([r[key] for r in results]) for key in ("unknown", "known"))
        minutes = statistics.median(r["seconds"] for r in results) / 60
        click.echo(f"| {row} | {cells} | {results[0]['epochs']} | {minutes:.1f} | {len(results)} |")


def _places(classes: str, query: str) -> tuple[str, str]:
    return (
        f"dataset.val_dataset.reference={GROCERY}/{classes}_classes/reference.tar.gz",
        f"dataset.val_dataset.query={GROCERY}/{classes}_classes/{query}.tar.gz",
    )


KNOWN, UNKNOWN = _places("known", "val"), _places("unknown", "test")


def _trained(settings: tuple[str, ...]) -> dict[str, float]:
    """Trains, and measures the last epoch on both."""
    with tempfile.TemporaryDirectory() as results:
        where = (f"results_dir={results}", f"dataset.train_dataset={GROCERY}/known_classes/train.tar.gz")
        once = (f"model.pretrained_trunk_path={LITE0_WEIGHTS}", "train.validation_interval=1000")
        train(load_spec("train", None, [*settings, *where, *KNOWN, *once], family="ml_recog").spec)
        with (Path(results) / "train" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        checkpoint = Path(results) / "train" / "ml_model_latest.pth"
        asked = [*settings, f"results_dir={results}", *UNKNOWN, f"evaluate.checkpoint={checkpoint}"]
        unknown = evaluate(load_spec("evaluate", None, asked, family="ml_recog").spec).figures
    return {
        "unknown": float(unknown["cmc_rank_1"]), "known": float(rows[-1]["cmc_rank_1"]), "epochs": len(rows),
        "seconds": sum(float(row["seconds"]) for row in rows),
    }  # fmt: skip


def _untrained(settings: tuple[str, ...]) -> dict[str, float]:
    """Measures the pooled features of the weights that the training starts from, on the same pictures."""
    import torch

    from reid.actions.recipes.table import recipe_of
    from reid.actions.scoring import QueryAndGallery, rank_by
    from reid.actions.subsets import open_subsets
    from reid.model.network import ReidNetwork
    from reid.model.settings import NetworkSettings
    from reid.model.weights.loading import load_file
    from reid.model.weights.location import weights_file
    from reid.retrieval.metrics import measure

    figures = {}
    for name, places in (("unknown", UNKNOWN), ("known", KNOWN)):
        spec = load_spec("evaluate", None, [*settings, *places, "evaluate.checkpoint=none"], family="ml_recog").spec
        preprocess = recipe_of(spec).training().preprocess(spec)
        network = ReidNetwork(
            NetworkSettings(
                spec.model.backbone, 1, preprocess.height, preprocess.width, feat_dim=1280, neck="", id_loss_type="none"
            )
        )
        load_file(network, weights_file(LITE0_WEIGHTS, cache_dir=Path()))
        subsets = open_subsets(spec, spec.test_places("evaluate"), action="evaluate")
        test_set = QueryAndGallery.of(subsets, preprocess, workers=1)
        sides = test_set.embed(network.eval(), batch_size=32, device=torch.device("cpu"))
        assert sides is not None
        found = measure(rank_by(spec, *sides, device=torch.device("cpu")), max_rank=1).figures()
        figures[name] = found["cmc_rank_1"]
    return {**figures, "epochs": 0, "seconds": 0.0}


if __name__ == "__main__":
    main()
