"""Query and gallery as some program embedded them, read from its files: no network, no pixels, no torch on a CPU."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from reid.actions.embedded import Embedded
from reid.actions.protocol import VECTOR
from reid.actions.query_rows import images_at, query_rows
from reid.errors import SpecError
from reid.files import sha256_of
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.files import EmbeddingFile, read_embeddings
from reid.retrieval.sides import LabelledSide, labelled
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)

_KEYS = ("embeddings", "query_embeddings", "gallery_embeddings")


def names_files(spec: ExperimentSpec) -> bool:
    """Whether the spec gives embeddings to measure instead of a checkpoint.

    Raises:
        SpecError: it gives both, one side alone, or one file beside two.
    """
    own = spec.evaluate
    given = [key for key in _KEYS if getattr(own, key)]
    if not given:
        return False
    networks = [key for key in ("checkpoint", "parent_run") if getattr(own, key)]
    if networks:
        raise SpecError(
            f"evaluate.{given[0]} and evaluate.{networks[0]} are both set",
            "embeddings are measured as they are, without a network",
            f"leave one of them out; evaluate.{networks[0]}= on the command line clears the spec's",
        )
    if given not in (["embeddings"], ["query_embeddings", "gallery_embeddings"]):
        shown = " and ".join(f"evaluate.{key}" for key in given)
        raise SpecError(
            f"of the keys for files of embeddings, {shown} {'is' if len(given) == 1 else 'are'} set",
            "a retrieval needs a query and a gallery, each from one place",
            "set evaluate.embeddings alone, or evaluate.query_embeddings and evaluate.gallery_embeddings",
        )
    return True


def read_test_set(spec: ExperimentSpec) -> Embedded:
    """Reads and checks the files; images are looked for under `query_dataset` and `test_dataset` where paths are stale.

    Distances are computed on the CPU unless `device` insists on another: a ranking is too small to start torch for.

    Raises:
        SpecError: it cannot be told which rows are queries.
        DataError: a file cannot be used.
    """
    own = spec.evaluate
    if own.embeddings:
        file = read_embeddings(Path(own.embeddings))
        files = _split(spec, file)
        sources = {"embeddings": file.path}
    else:
        files = (
            read_embeddings(Path(own.query_embeddings)).side("query"),
            read_embeddings(Path(own.gallery_embeddings)).side("gallery"),
        )
        sources = {"query_embeddings": files[0].path, "gallery_embeddings": files[1].path}
    query, gallery = labelled(files[0], "query"), labelled(files[1], "gallery")
    for name, side in (("query", query), ("gallery", gallery)):
        log.info(
            "%s: %d embeddings of %d numbers, %d junk dropped, %d without identity or camera dropped",
            *(name, len(side.embeddings), side.embeddings.dim, side.junk, side.unlabelled),
        )
    return Embedded(
        _with_pictures(spec, query.embeddings, "query"),
        _with_pictures(spec, gallery.embeddings, "gallery"),
        test_set=_fingerprint(query.embeddings, gallery.embeddings),
        network=_same_in_both(files, VECTOR),
        facts={
            **_dropped("query", query),
            **_dropped("gallery", gallery),
            **{key: path.name for key, path in sources.items()},
            **{f"{key}_sha256": sha256_of(path) for key, path in sources.items()},
            **_same_in_both(files, ("checkpoint_sha256",)),
        },
        device=_device(spec),
        classes={**files[1].classes, **files[0].classes},
    )


def _split(spec: ExperimentSpec, file: EmbeddingFile) -> tuple[EmbeddingFile, EmbeddingFile]:
    if file.sides:
        return file.side("query"), file.side("gallery")
    is_query = query_rows(spec, file)
    return file.take(is_query), file.take(~is_query)


def _dropped(name: str, side: LabelledSide) -> dict[str, int]:
    return {f"{name}_junk_dropped": side.junk, f"{name}_unlabelled_dropped": side.unlabelled}


def _same_in_both(files: tuple[EmbeddingFile, EmbeddingFile], keys: tuple[str, ...]) -> dict[str, Any]:
    """What our own files say of their making, where query and gallery agree on all of it."""
    ours, theirs = ({key: file.metadata.get(key) for key in keys} for file in files)
    return ours if ours == theirs and None not in ours.values() else {}


def _fingerprint(query: Embeddings, gallery: Embeddings) -> str:
    """Of identities, cameras and file names: the same for every network's embeddings of one test set.

    Named images count in any order; rows without names are told apart by their order alone.
    """
    whole = hashlib.sha256()
    for side in (query, gallery):
        names = [PurePath(path).name for path in side.paths] or [""] * len(side)
        rows = list(zip(names, side.pids.tolist(), side.camids.tolist(), strict=True))
        for row in sorted(rows) if side.paths else rows:
            whole.update(repr(row).encode())
        whole.update(b"/")
    return whole.hexdigest()


def _with_pictures(spec: ExperimentSpec, side: Embeddings, name: str) -> Embeddings:
    """The paths of pictures that are really there, where a place that `evaluate` itself names has such images."""
    key, place = spec.test_places("evaluate")[name]
    if not side.paths or not place or not key.startswith("evaluate."):
        return side
    found = {path.name: path for path in images_at(spec, place, name="picture")}
    there = (path if Path(path).is_file() else str(found.get(PurePath(path).name, path)) for path in side.paths)
    return replace(side, paths=tuple(there))


def _device(spec: ExperimentSpec) -> object:
    if spec.device in ("auto", "cpu"):
        return "cpu"
    from reid.actions.settings import device_of

    return device_of(spec, index=spec.evaluate.gpu_ids[0])
