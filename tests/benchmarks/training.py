"""Images a second of input, training and embedding beside a plain baseline: `python tests/benchmarks/training.py`.

Baseline (`plain.py`) and product take turns, each in a process of its own, on the same drawn JPEG files of 64 x 128;
medians are shown. Product means the actions themselves, as a user runs them. `to-map` trains on the real pictures of
`../shared/data/pku_reid` until the validation reaches a given mAP. `idle` measures how long a GPU stands still.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from reid.actions.inference import inference  # noqa: E402 - run as a program, from any folder
from reid.actions.recipes.person_training import PersonTraining  # noqa: E402
from reid.actions.train import train  # noqa: E402
from reid.data.augment import Augmentation  # noqa: E402
from reid.data.pack import pack_images  # noqa: E402
from reid.data.readers import read_market1501  # noqa: E402
from reid.model.network import ReidNetwork  # noqa: E402
from reid.model.weights.loading import load_file  # noqa: E402
from reid.retrieval.distance import EuclideanDistance  # noqa: E402
from reid.retrieval.embeddings import Embeddings  # noqa: E402
from reid.retrieval.metrics import measure  # noqa: E402
from reid.retrieval.ranking import rank  # noqa: E402
from reid.spec.load import load_spec  # noqa: E402
from reid.spec.re_identification import ReIdentificationSpec  # noqa: E402
from tests.benchmarks import plain  # noqa: E402
from tests.benchmarks.idle import idle_share  # noqa: E402
from tests.benchmarks.lines import LITE0_WEIGHTS  # noqa: E402

PKU = ROOT.parent / "shared" / "data" / "pku_reid"
STEPS = {
    "resnet50": ("model.backbone=resnet_50", "model.input_height=256", "model.input_width=128", 192),
    "mobilenetv2": ("model.backbone=mobilenetv2_100", "model.input_height=128", "model.input_width=64", 960),
}
"""Overrides of the networks that are timed, and the training images of an epoch."""
MAP = 0.45


@click.group(invoke_without_command=True)
@click.option("--repeats", default=3, help="Runs of each.")
@click.pass_context
def main(context: click.Context, repeats: int) -> None:
    """Without a command: input pipeline, training and embedding, as one table."""
    context.obj = repeats
    if context.invoked_subcommand is None:
        _print(["input", "train:resnet50", "train:mobilenetv2", "embed:resnet50"], repeats)


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def table(repeats: int, names: tuple[str, ...]) -> None:
    """Some of: input, train:NETWORK, train-compiled:NETWORK, embed:NETWORK."""
    _print(list(names), repeats)


@main.command("to-map")
@click.pass_obj
def to_map(repeats: int) -> None:
    """Seconds of training until the validation's mAP reaches 0.45 on real pictures, EfficientNet-Lite0 at 128 x 64."""
    _print(["to-map"], repeats, unit="seconds")


@main.command()
@click.option("--network", type=click.Choice(list(STEPS)), default="resnet50")
@click.option("--batch", default=128, help="Images in a step.")
@click.option("--steps", default=180, help="Steps that are measured, after a quarter as many that are not.")
def idle(network: str, batch: int, steps: int) -> None:
    """Share of the time of a training's steps, ends of epochs included, in which no kernel ran on the GPU."""
    if not torch.cuda.is_available():
        raise click.ClickException("there is no CUDA device on this machine, so nothing can stand still")
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        images = _linked(Path(folder) / "train", Path(folder) / "many", copies=12)
        epochs = -(-2 * steps * batch // images)  # twice as many as are measured
        spec = spec_of(
            *(Path(folder), network, "device=cuda", f"dataset.train_dataset_dir={folder}/many"),
            *(f"dataset.batch_size={batch}", f"train.num_epochs={epochs}", f"results_dir={folder}/results"),
        )
        share = idle_share(lambda: train(spec), skip=steps // 4, steps=steps)
    click.echo(f"{network}, batch {batch}: no kernel ran in {share:.1%} of the time of {steps} steps")


def _linked(folder: Path, to: Path, *, copies: int) -> int:
    """Each image under several names, so that an epoch is as long as a real one; how many there are then."""
    to.mkdir()
    for path in sorted(folder.iterdir()):
        for copy in range(copies):
            (to / path.name.replace("_00.jpg", f"_{copy:02d}.jpg")).symlink_to(path)
    return copies * len(list(folder.iterdir()))


@main.command(hidden=True)
@click.argument("name")
@click.argument("side", type=click.Choice(["plain", "product"]))
@click.argument("folder", type=click.Path(path_type=Path))
def one(name: str, side: str, folder: Path) -> None:
    """One run of one side; prints images a second, or seconds."""
    kind, _, network = name.partition(":")
    work = {"input": _input, "train": _train, "train-compiled": _train, "embed": _embed, "to-map": _to_map}[kind]
    click.echo(json.dumps(work(side, folder, network, compiled=kind == "train-compiled")))


def _print(names: list[str], repeats: int, *, unit: str = "images/s") -> None:
    shown = Table("work", f"plain, {unit}", f"product, {unit}", "ratio", "runs")
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for name in names:
            sides: dict[str, list[float]] = {"plain": [], "product": []}
            for _ in range(repeats):
                for side, results in sides.items():
                    results.append(_run(name, side, Path(folder)))
            a, b = (statistics.median(results) for results in sides.values())
            ratio = a / b if unit == "seconds" else b / a
            runs = "; ".join(" ".join(f"{value:.4g}" for value in results) for results in sides.values())
            shown.add_row(name, f"{a:.4g}", f"{b:.4g}", f"{ratio:.2f}", runs)
    Console().print(shown)


def _run(name: str, side: str, folder: Path) -> float:
    command = [sys.executable, __file__, "one", name, side, str(folder)]
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if name == "input" else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    return float(done.stdout.splitlines()[-1])


def draw(folder: Path) -> None:
    """240 identities of 4 images: smooth random pictures as JPEG files of 64 x 128, which decode like photographs."""
    random = np.random.default_rng(0)
    for part in ("train", "query", "gallery"):
        (folder / part).mkdir()
    for pid in range(1, 241):
        for i in range(4):
            noise = Image.fromarray(random.integers(0, 256, (128, 64, 3), dtype=np.uint8))
            image = noise.filter(ImageFilter.GaussianBlur(1.2))
            image.save(folder / "train" / f"{pid:04d}_c{i + 1}s1_{i:06d}_00.jpg", quality=90)


def spec_of(folder: Path, network: str, *overrides: str) -> ReIdentificationSpec:
    """The product's defaults for one of the networks, on the drawn images, from random weights."""
    *chosen, images = STEPS[network]
    part = folder / f"train_{images}"
    if not part.is_dir():
        part.mkdir()
        for path in sorted((folder / "train").iterdir())[: int(images)]:
            (part / path.name).symlink_to(path)
    common = (
        "device=cpu", "model.pretrain_choice=", f"dataset.train_dataset_dir={part}", "train.num_epochs=2",
        f"dataset.cache_dir={folder}/cache",
    )  # fmt: skip
    return load_spec("train", None, [*common, *map(str, chosen), *overrides]).spec


def _input(side: str, folder: Path, network: str, *, compiled: bool) -> float:
    """One core: from files, or from the pack, to augmented normalised batches of 64 at 256 x 128."""
    torch.set_num_threads(1)
    paths = sorted((folder / "train").iterdir())
    pixels = PersonTraining().preprocess(spec_of(folder, "resnet50"))
    if side == "plain":
        dataset = plain.Images(paths, [0] * len(paths), plain.train_transform(pixels))
        return 64 / statistics.median(plain.input_seconds(dataset, batch=64, batches=12))
    augmentation = Augmentation(0.5, 10, 0.5, "mean", pixels.mean, pixels.std)
    pack = pack_images(
        paths, height=256, width=128, interpolation=pixels.interpolation, cache_dir=folder / "cache", workers=1
    )
    seconds = []
    for batch in range(61):
        rows = np.random.default_rng(batch).integers(0, len(paths), 64)
        began = time.perf_counter()
        augmentation(torch.from_numpy(pack.images(rows)), torch.Generator().manual_seed(batch))
        seconds.append(time.perf_counter() - began)
    return 64 / statistics.median(seconds[1:])


def _train(side: str, folder: Path, network: str, *, compiled: bool) -> float:
    """The second epoch of a training with batches of 64, everything included but the validation."""
    spec = spec_of(folder, network, f"train.compile={'on' if compiled else 'auto'}")
    if side == "plain":
        parts, criterion, dataset = _plain_parts(spec)
        epochs = plain.training_epochs(parts, criterion, dataset, batch=64, rates=[3e-5, 3e-5], workers=2)
        seconds, images = list(epochs)[-1]
        return images / seconds
    with tempfile.TemporaryDirectory() as results:
        train(spec.model_copy(update={"results_dir": results}))
        return float(_rows(Path(results) / "train")[-1]["images_per_s"])


def _plain_parts(spec: ReIdentificationSpec) -> tuple[ReidNetwork, Any, plain.Images]:
    subset = read_market1501(Path(spec.dataset.train_dataset_dir), name="train", recursive=True)
    classes = {pid: index for index, pid in enumerate(subset.pids)}
    torch.manual_seed(0)
    network = ReidNetwork(PersonTraining().network(spec, num_classes=len(classes)))
    criterion = PersonTraining().criterion(spec, num_classes=len(classes), dim=network.embedding_dim, seed=0)
    paths, labels = [r.path for r in subset.records], [classes[r.pid] for r in subset.records]
    return network, criterion, plain.Images(paths, labels, plain.train_transform(PersonTraining().preprocess(spec)))


def _embed(side: str, folder: Path, network: str, *, compiled: bool) -> float:
    """640 images: the plain loop, or a second `inference`, whose conversion and pack are in the cache."""
    spec = spec_of(folder, network, "train.num_epochs=1", f"results_dir={folder}/embedded")
    images = folder / "embedded_images"
    if not images.is_dir():
        images.mkdir()
        for path in sorted((folder / "train").iterdir())[:640]:
            (images / path.name).symlink_to(path)
    if side == "plain":
        paths = sorted(images.iterdir())
        reid, _, _ = _plain_parts(spec)
        dataset = plain.Images(paths, [0] * len(paths), plain.test_transform(PersonTraining().preprocess(spec)))
        began = time.perf_counter()
        plain.embeddings(reid, dataset, batch=128, workers=2)
        return len(paths) / (time.perf_counter() - began)
    if not (folder / "embedded").is_dir():
        train(spec)
    overrides = [f"inference.test_dataset={images}", f"results_dir={folder}/embedded", "device=cpu"]
    chosen = load_spec("inference", None, [*overrides, f"dataset.cache_dir={folder}/cache"]).spec
    inference(chosen)
    began = time.perf_counter()
    count = int(inference(chosen).figures["images"])
    return count / (time.perf_counter() - began)


def _to_map(side: str, folder: Path, network: str, *, compiled: bool) -> float:
    """Seconds of training, validations excluded, until the mAP of real pictures reaches `MAP`."""
    for part in ("train", "query", "test"):
        with tarfile.open(PKU / f"sample_{part}.tar.gz") as archive:
            archive.extractall(folder / "pku" / part, filter="data")
    overrides = [
        "device=cpu", "model.backbone=tf_efficientnet_lite0", f"model.pretrained_model_path={LITE0_WEIGHTS}",
        "model.input_height=128", "model.input_width=64", "dataset.pixel_mean=[0.5,0.5,0.5]",
        "dataset.pixel_std=[0.5,0.5,0.5]", "dataset.recursive=true", f"dataset.train_dataset_dir={folder}/pku/train",
        f"dataset.query_dataset_dir={folder}/pku/query", f"dataset.test_dataset_dir={folder}/pku/test",
        "train.num_epochs=12", "train.optim.warmup_method=cosine", "train.optim.warmup_epochs=1",
        "train.optim.base_lr=0.004", f"dataset.cache_dir={folder}/cache",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as results:
        spec = load_spec("train", None, [*overrides, f"results_dir={results}"]).spec
        epochs = _plain_epochs(spec) if side == "plain" else _product_epochs(spec)
        total = 0.0
        for seconds, mean_ap in epochs:
            total += seconds
            if mean_ap >= MAP:
                return total
    raise click.ClickException(f"{side}: the mAP did not reach {MAP} in {spec.train.num_epochs} epochs")


def _product_epochs(spec: ReIdentificationSpec) -> Iterator[tuple[float, float]]:
    train(spec)
    steps = 0
    for row in _rows(Path(spec.results_dir) / "train"):
        images = (int(row["step"]) - steps) * spec.dataset.batch_size
        steps = int(row["step"])
        yield images / float(row["images_per_s"]), float(row["mAP"])


def _plain_epochs(spec: ReIdentificationSpec) -> Iterator[tuple[float, float]]:
    network, criterion, dataset = _plain_parts(spec)
    load_file(network, Path(spec.model.pretrained_model_path))
    schedule = PersonTraining().schedule(spec)
    rates = [spec.train.optim.base_lr * schedule.factor(epoch, 0) for epoch in range(spec.train.num_epochs)]
    for seconds, _ in plain.training_epochs(network, criterion, dataset, batch=64, rates=rates, workers=2):
        sides = [_plain_embeddings(spec, network, place) for place in ("query_dataset_dir", "test_dataset_dir")]
        yield seconds, measure(rank(EuclideanDistance(*sides), *sides)).figures()["mAP"]


def _plain_embeddings(spec: ReIdentificationSpec, network: ReidNetwork, place: str) -> Embeddings:
    subset = read_market1501(Path(getattr(spec.dataset, place)), name=place, recursive=True)
    paths = [record.path for record in subset.records]
    dataset = plain.Images(paths, [0] * len(paths), plain.test_transform(PersonTraining().preprocess(spec)))
    vectors = plain.embeddings(network, dataset, batch=128, workers=2)
    pids, camids = (np.array([getattr(r, name) for r in subset.records]) for name in ("pid", "camid"))
    return Embeddings(vectors.numpy(), pids, camids)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
