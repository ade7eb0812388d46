"""Retrievals with pictures, and their pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reid.report.page import write_report
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.evaluation import Evaluation, evaluate_ranking
from reid.retrieval.ranking import Ranking
from reid.retrieval.recognition_evaluation import evaluate_recognition
from tests.retrieval.scenes import Scene


def named(scene: Scene, *, folder: str = "pictures") -> Scene:
    """The scene with a path for each image, as Market-1501 writes it."""

    def side(embeddings: Embeddings, letter: str) -> Embeddings:
        labels = zip(embeddings.pids.tolist(), embeddings.camids.tolist(), strict=True)
        return replace(
            embeddings,
            paths=tuple(f"{folder}/{pid:04}_c{camera}_{letter}{row}.jpg" for row, (pid, camera) in enumerate(labels)),
        )

    return replace(scene, query=side(scene.query, "q"), gallery=side(scene.gallery, "g"))


def plain(path: str) -> Image.Image:
    """A picture of one colour, the same for the same path."""
    red, green, blue = np.random.default_rng(list(path.encode())).integers(40, 220, 3).tolist()
    return Image.new("RGB", (32, 64), (red, green, blue))


def noise(path: str) -> Image.Image:
    """A picture that cannot be compressed."""
    return Image.fromarray(np.random.default_rng(list(path.encode())).integers(0, 256, (128, 64, 3), dtype=np.uint8))


def many_classes(classes: int) -> Scene:
    """Random classes, two queries and two references each on average, so that most of them are confused."""
    rng = np.random.default_rng(1)

    def side(letter: str) -> Embeddings:
        pids = rng.integers(1, classes + 1, 2 * classes)
        vectors = rng.normal(size=(2 * classes, 4)).astype(np.float32)
        return Embeddings(vectors, pids, 0 * pids, tuple(f"{letter}{row}.jpg" for row in range(2 * classes)))

    return Scene(side("q"), side("g"), l2_normalise=True)


def measured(scene: Scene, **options: Any) -> tuple[Ranking, Evaluation]:
    """The ranking of a scene with its figures."""
    ranking = scene.rank(**options)
    return ranking, evaluate_ranking(ranking, scene.query, scene.gallery, resamples=50)


def write(
    path: Path,
    scene: Scene,
    *,
    title: str = "Drawn people",
    protocol: dict[str, str] | None = None,
    names: dict[int, str] | None = None,
    images: Callable[[str], Image.Image | None] = plain,
    **options: Any,
) -> str:
    """The text of the scene's page, which is written to `path`; with names it is one of classes."""
    ranking, evaluation = measured(scene, **options)
    recognition = None
    if names is not None:
        recognition = evaluate_recognition(ranking, scene.query, scene.gallery, names, l2_normalise=scene.l2_normalise)
    write_report(
        path,
        evaluation=evaluation,
        ranking=ranking,
        query=scene.query,
        gallery=scene.gallery,
        title=title,
        protocol=protocol or {"distance": ranking.distance, "exclude": ranking.exclude},
        recognition=recognition,
        images=images,
    )
    return path.read_text(encoding="utf-8")


def lists_in(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    values: dict[str, Any] = json.loads(found[1])
    return values


def words_in(page: str) -> str:
    """What a reader sees, without style, script and markup, in one line."""
    shown = re.sub(r"<(style|script).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", "", shown).replace("\N{NO-BREAK SPACE}", " ").split())
