"""Which rows of one embedding file are queries: those whose images lie in `evaluate.query_dataset`."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path, PurePath

import numpy as np

from reid.actions.recipes.table import recipe_of
from reid.data.archives import open_folder
from reid.data.cache import cache_folder
from reid.errors import DataError, SpecError
from reid.retrieval.embeddings import BoolArray
from reid.retrieval.files import EmbeddingFile
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)

_TWO_FILES = "give the sides as two files with evaluate.query_embeddings and evaluate.gallery_embeddings"


def query_rows(spec: ExperimentSpec, file: EmbeddingFile) -> BoolArray:
    """bool [N], by file name.

    A name may stand on both sides, in two folders: then that row counts whose folder holds nothing but queries.

    Raises:
        SpecError: `evaluate.query_dataset` is not set, or the file has no paths.
        DataError: no image of the query set is in the file, or a name fits several rows.
    """
    key, place = spec.test_places("evaluate")["query"]
    if not file.paths:
        raise SpecError(
            f"{file.path} holds {len(file)} embeddings, and neither a side nor a path for each",
            "without them it cannot be told which rows are queries",
            f"{_TWO_FILES}, or write a .npz with query and gallery",
        )
    if not place:
        raise SpecError(
            f"{file.path} does not say which of its {len(file)} images are queries, and {key} is not set",
            "a retrieval needs a query and a gallery",
            f"add {key}=PLACE, the folder or archive of the query images, or {_TWO_FILES}",
        )
    wanted = {path.name for path in images_at(spec, place, name="query")}
    paths = [PurePath(path) for path in file.paths]
    named = np.array([path.name in wanted for path in paths])
    strangers = {path.parent for path, in_query in zip(paths, named.tolist(), strict=True) if not in_query}
    twice = {name for name, count in Counter(path.name for path in paths).items() if count > 1}
    is_query: BoolArray = named & [path.name not in twice or path.parent not in strangers for path in paths]
    _check(file, is_query, wanted, place)
    return is_query


def images_at(spec: ExperimentSpec, place: str, *, name: str) -> tuple[Path, ...]:
    """Every image file of a folder, an archive or a URI, as the `dataset` section says."""
    dataset = spec.dataset
    folder = open_folder(place, cache_dir=cache_folder(dataset.cache_dir), max_bytes=dataset.max_archive_bytes)
    return recipe_of(spec).read(spec, {name: folder}, action="evaluate")[name].images


def _check(file: EmbeddingFile, is_query: BoolArray, wanted: set[str], place: str) -> None:
    names = [PurePath(path).name for path in file.paths]
    found = Counter(name for name, chosen in zip(names, is_query.tolist(), strict=True) if chosen)
    unclear = sorted(name for name in wanted.intersection(names) if found[name] != 1)
    if unclear:
        raise DataError(
            f"{len(unclear)} images of the query set {place} fit several rows of {file.path}, such as {unclear[0]}",
            "query and gallery hold images of one name, and their folders do not tell them apart",
            _TWO_FILES,
        )
    if not found:
        examples = ", ".join(sorted(wanted)[:3]) or "no image"
        raise DataError(
            f"none of the {len(wanted)} images of the query set {place} is in {file.path} (the set begins with "
            f"{examples}, the file with {names[0]})",
            "queries are told from the gallery by their file names",
            "give the query images that were embedded",
        )
    if missing := sorted(wanted - found.keys()):
        log.warning(
            "%d of %d images of the query set are not in %s: %s", len(missing), len(wanted), file.path, missing[:3]
        )
