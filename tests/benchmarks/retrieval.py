"""Seconds and memory peak of evaluation, re-ranking and search: `python tests/benchmarks/retrieval.py [NAME ...]`.

Each piece of work runs in a process of its own, so that its peak is its own, libraries included; three times after a
first run that may compile, of which the median is shown. Market-1501's size takes the vectors of
`../shared/data/golden` where they are, all other sizes drawn ones: people as points, their images around them.
`scaling` also draws the plot of docs/evaluation.md.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from reid.retrieval.distance import EuclideanDistance
from reid.retrieval.embeddings import Embeddings, FloatArray
from reid.retrieval.gallery import open_gallery, read_ahead
from reid.retrieval.index import nearest_by_index, open_index
from reid.retrieval.metrics import measure
from reid.retrieval.ranking import rank
from reid.retrieval.rerank import KReciprocalDistance
from reid.retrieval.search import nearest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT.parent / "shared" / "data" / "golden" / "embeddings_a.npz"
PICTURE = ROOT / "docs" / "images" / "evaluation_scaling.png"
SCALES = ((1000, 5000), (2000, 10_000), (4000, 20_000), (8000, 40_000))


def drawn(queries: int, gallery: int, *, dim: int = 256, seed: int = 0) -> tuple[Embeddings, Embeddings]:
    """People as random points, their images scattered around them, under 15 cameras."""
    rng = np.random.default_rng(seed)
    people = max(gallery // 27, 2)
    centres = rng.normal(size=(people, dim)).astype(np.float32)

    def side(count: int) -> Embeddings:
        pids = rng.integers(people, size=count)
        vectors = rng.standard_normal((count, dim), dtype=np.float32)
        vectors *= 1.6
        vectors += centres[pids]
        return Embeddings(vectors, pids + 1, rng.integers(1, 16, count))

    return side(queries), side(gallery)


def market() -> tuple[Embeddings, Embeddings]:
    """Query and gallery of the golden file, or drawn ones of its size."""
    if not GOLDEN.is_file():
        return drawn(3368, 15_913)
    arrays = np.load(GOLDEN)

    def side(name: str) -> Embeddings:
        pids, camids = (arrays[f"{name}_{label}"].astype(np.int64) for label in ("pid", "camid"))
        keep = pids >= 0
        return Embeddings(arrays[name][keep].astype(np.float32), pids[keep], camids[keep])

    return side("query"), side("gallery")


@contextmanager
def million() -> Iterator[tuple[FloatArray, Path]]:
    """A thousand queries, and a file of a million gallery vectors that another process has written."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "embeddings.parquet"
        subprocess.run([sys.executable, __file__, "gallery", str(file)], check=True)
        yield drawn(1000, 54)[0].vectors, file


def _plain(sides: tuple[Embeddings, Embeddings]) -> None:
    measure(rank(EuclideanDistance(*sides), *sides))


def _reranked(sides: tuple[Embeddings, Embeddings]) -> None:
    measure(rank(KReciprocalDistance(*sides), *sides))


def _searched(material: tuple[FloatArray, Path]) -> None:
    query, file = material
    nearest(query, read_ahead(open_gallery(file).blocks()), 100)


def _searched_by_index(material: tuple[FloatArray, Path]) -> None:
    query, file = material
    nearest_by_index(open_index(open_gallery(file)), query, 100)


WORK: dict[str, tuple[Callable[[], Any], Callable[[Any], None], str]] = {
    "market": (lambda: nullcontext(market()), _plain, "CMC, mAP, mINP: 3,368 x 15,913"),
    "market-reranked": (lambda: nullcontext(market()), _reranked, "re-ranking 19,281 points"),
    "msmt17": (lambda: nullcontext(drawn(11_659, 82_161)), _plain, "CMC, mAP, mINP: 11,659 x 82,161"),
    "msmt17-reranked": (lambda: nullcontext(drawn(11_659, 82_161)), _reranked, "re-ranking 93,820 points"),
    "million": (million, _searched, "top 100 of 1,000,000 in a file for 1,000 queries"),
    "million-index": (million, _searched_by_index, "the same by an index, opened each time"),
}
"""Of each name: what it works on, the work, and how the table calls it."""


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Without a command: every piece of work, as a table."""
    if context.invoked_subcommand is None:
        context.invoke(table)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(list(WORK)))
def table(names: tuple[str, ...] = ()) -> None:
    """Measure some pieces of work, or all."""
    shown = Table("work", "seconds, median of 3", "first run", "peak, GB")
    for name in names or WORK:
        seconds, peak = _measured(name)
        shown.add_row(WORK[name][2], f"{statistics.median(seconds[1:]):.2f}", f"{seconds[0]:.2f}", f"{peak:.2f}")
    Console().print(shown)


@main.command()
def scaling() -> None:
    """Measure four sizes, each twice the one before on both sides, and draw the plot."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    measured = {name: [_measured(f"{name}:{q}:{g}") for q, g in SCALES] for name in ("plain", "reranked")}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, results in measured.items():
        left.plot([q * g / 1e6 for q, g in SCALES], [statistics.median(s[1:]) for s, _ in results], "o-", label=name)
        right.plot([(q + g) / 1e3 for q, g in SCALES], [peak for _, peak in results], "o-", label=name)
    dense = [q * g * 4 / 1e9 for q, g in SCALES]
    right.plot([(q + g) / 1e3 for q, g in SCALES], dense, "k:", linewidth=1, label="one dense Q x G matrix")
    left.set(xlabel="Q x G, millions of pairs", ylabel="seconds, median of 3", ylim=(0, None), xlim=(0, None))
    right.set(xlabel="Q + G, thousands of images", ylabel="memory peak, GB", ylim=(0, None), xlim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(PICTURE, dpi=110)
    for name, results in measured.items():
        for (q, g), (seconds, peak) in zip(SCALES, results, strict=True):
            click.echo(f"{name:9} {q:>6,} x {g:>6,}: {statistics.median(seconds[1:]):6.2f} s {peak:5.2f} GB")


@main.command(hidden=True)
@click.argument("name")
def one(name: str) -> None:
    """Do one piece of work four times and print the seconds and the peak as JSON."""
    make: Callable[[], Any]
    if ":" in name:
        kind, queries, images = name.split(":")
        make = lambda: nullcontext(drawn(int(queries), int(images)))  # noqa: E731 - as in WORK
        work: Callable[[Any], None] = {"plain": _plain, "reranked": _reranked}[kind]
    else:
        make, work, _ = WORK[name]
    seconds = []
    with make() as material:
        for _ in range(4):
            began = time.perf_counter()
            work(material)
            seconds.append(time.perf_counter() - began)
    click.echo(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9]))


@main.command(hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
def gallery(file: Path) -> None:
    """Write a million drawn vectors as `inference` would, in ten parts."""
    schema = pa.schema([("embedding", pa.list_(pa.float32(), 256))])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for part in range(10):
            vectors = drawn(2, 100_000, seed=part)[1].vectors
            writer.write_table(pa.table({"embedding": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 256)}, schema))


def _measured(name: str) -> tuple[list[float], float]:
    done = subprocess.run([sys.executable, __file__, "one", name], capture_output=True, text=True, check=True)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


if __name__ == "__main__":
    main()
