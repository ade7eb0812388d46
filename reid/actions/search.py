"""`reid search`: the gallery images nearest to some pictures, and how likely each shows the same person."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from reid.actions.calibration import find_calibration
from reid.actions.queries import Query, embed_queries, read_queries
from reid.errors import DataError
from reid.files import write_json
from reid.report.contact_sheet import write_contact_sheets
from reid.retrieval.answers import Answer, Neighbour, prior_words
from reid.retrieval.embeddings import FloatArray, IntArray
from reid.retrieval.gallery import open_gallery, read_ahead
from reid.retrieval.gallery_file import GalleryFile, Subset
from reid.retrieval.index import nearest_by_index, open_index, recall
from reid.retrieval.search import SEARCH_DISTANCE, block_rows, nearest, too_few
from reid.retrieval.verification import Verification

if TYPE_CHECKING:
    from reid.devices import DeviceChoice

log = logging.getLogger(__name__)

_PROTOCOL = (
    f"Distance: {SEARCH_DISTANCE}, squared, from 0 to 4.",
    "Nothing is excluded but a query's own row: images by its camera are shown too.",
)
_MEASURED_ON = 100  # queries on which an index is compared with the exact search


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        answers: one for each query.
        searched: gallery images compared with each.
        prior: how often a pair shows one person before its distance is seen, which the probabilities assume; None
            where there are none.
        recall: part of the exact nearest that the index found; None for an exact search.
        notes: what the reader should know of these answers.
        files: what was written.
    """

    answers: tuple[Answer, ...]
    searched: int
    prior: float | None = None
    recall: float | None = None
    notes: tuple[str, ...] = ()
    files: dict[str, Path] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "distance": SEARCH_DISTANCE,
            "searched": self.searched,
            "prior": self.prior,
            "recall": self.recall,
            "notes": list(self.notes),
            "answers": [answer.to_dict() for answer in self.answers],
        }


def search(
    queries: Sequence[str],
    *,
    gallery: Path,
    top_k: int = 10,
    subset: Subset = "gallery",
    checkpoint: Path | None = None,
    verification: Path | None = None,
    prior: float = 0.5,
    out: Path | None = None,
    index: Literal["exact", "faiss"] = "exact",
    memory_gb: float = 1.0,
    device: DeviceChoice = "auto",
) -> SearchResult:
    """Finds the nearest gallery images of each query; writes nothing unless `out` is given.

    Args:
        queries: image files, folders of them, or `row:N` of the gallery file; such a row is not found itself.
        gallery: `.parquet` as `inference` writes it, or `.npz`.
        top_k: gallery images for each query.
        subset: which rows of a gallery file that tells query from gallery.
        checkpoint: that embedded the gallery; None for the one that the file names.
        verification: `verification.json` of an evaluation; None for the one in the results that the gallery is part of.
        prior: how often a pair shows one person before its distance is seen; probabilities assume it.
        out: folder for `search.json` and contact sheets.
        index: exact, or an approximate index kept beside the gallery, whose recall is then measured.
        memory_gb: working memory of the exact search, gigabytes.
        device: of the network, where there is one to run.

    Raises:
        DataError: a query or the gallery cannot be read, they do not fit together, or the gallery is too small.
        CheckpointError: the checkpoint is not known, missing, or not the one that embedded the gallery.
        SpecError: faiss or the device is not there.
        StorageError: `out` cannot be written.
    """
    began = time.perf_counter()
    opened = open_gallery(gallery, subset=subset)
    asked = read_queries(queries, opened)
    if top_k > len(opened.rows):
        raise too_few(top_k, len(opened.rows))
    calibration, note = find_calibration(opened, verification)
    vectors = embed_queries(asked, opened, checkpoint=checkpoint, device=device)
    _require_directions(asked, vectors)
    own = np.array([-1 if query.row is None else query.row for query in asked])
    k = top_k + bool(np.isin(own, opened.rows).any())  # a query's own row is nearest to it, and is then left out
    if k > len(opened.rows):
        raise too_few(top_k, len(opened.rows) - 1)
    found_recall = None
    if index == "faiss":
        distances, positions, found_recall = _approximate(vectors, opened, k, memory_gb)
    else:
        distances, positions = _exact(vectors, opened, k, memory_gb)
    answers = _answers(asked, opened, distances, opened.rows[positions], own, top_k, calibration, prior)
    log.info("%d queries, %d gallery images: %.1f s", len(asked), len(opened.rows), time.perf_counter() - began)
    result = SearchResult(answers, len(opened.rows), recall=found_recall, notes=(note,))
    if calibration is not None:
        result = replace(result, prior=prior, notes=(note, prior_words(prior, named=answers[0].named)))
    return result if out is None else _written(result, out)


def _exact(vectors: FloatArray, gallery: GalleryFile, k: int, memory_gb: float) -> tuple[FloatArray, IntArray]:
    memory = int(memory_gb * 1e9)
    blocks = gallery.blocks(block_rows(gallery.dim, memory))
    return nearest(vectors, read_ahead(blocks), k, memory_bytes=memory)


def _approximate(
    vectors: FloatArray, gallery: GalleryFile, k: int, memory_gb: float
) -> tuple[FloatArray, IntArray, float]:
    distances, positions = nearest_by_index(open_index(gallery), vectors, k)
    sample = np.linspace(0, len(vectors) - 1, min(_MEASURED_ON, len(vectors))).astype(np.int64)
    _, exact = _exact(vectors[sample], gallery, k, memory_gb)
    return distances, positions, recall(positions[sample], exact)


def _answers(
    queries: Sequence[Query],
    gallery: GalleryFile,
    distances: FloatArray,
    rows: IntArray,
    own: IntArray,
    top_k: int,
    calibration: Verification | None,
    prior: float,
) -> tuple[Answer, ...]:
    """Distances float32 and file rows int64 [Q, k], nearest first, as answers; a query's own row is left out."""
    wanted = np.unique(np.append(rows, own[own >= 0])).tolist()
    images = dict(zip(wanted, gallery.images(wanted), strict=True))
    chances = None if calibration is None else calibration.probability(distances, prior=prior)
    answers = []
    for q, query in enumerate(queries):
        kept = np.flatnonzero(rows[q] != own[q])[:top_k].tolist()
        nearby = tuple(
            Neighbour(
                rank=rank,
                row=(row := int(rows[q, at])),
                path=images[row].path,
                pid=images[row].pid,
                camid=images[row].camid,
                class_name=images[row].class_name,
                distance=float(distances[q, at]),
                probability=None if chances is None else float(chances[q, at]),
            )
            for rank, at in enumerate(kept, start=1)
        )
        path = str(query.picture) if query.picture else images[int(own[q])].path
        answers.append(Answer(query.asked, path, nearby))
    return tuple(answers)


def _require_directions(queries: Sequence[Query], vectors: FloatArray) -> None:
    bad = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if bad.any():
        raise DataError(
            f"the embedding of the query {queries[int(np.flatnonzero(bad)[0])].asked} is all zero, or holds NaN or "
            "infinite numbers",
            "it has no direction to compare with others",
            "look for a diverged training or a damaged gallery file",
        )


def _written(result: SearchResult, out: Path) -> SearchResult:
    title = f"Nearest of {result.searched:,} gallery images"
    named = result.answers[0].named
    notes = [*_PROTOCOL, *([] if result.prior is None else [prior_words(result.prior, named=named)])]
    sheets = write_contact_sheets(result.answers, out, title=title, notes=notes)
    table = out / "search.json"
    write_json(table, result.to_dict())
    files = {"search": table, **{sheet.stem: sheet for sheet in sheets}}
    return replace(result, files=files)
