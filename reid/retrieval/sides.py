"""The rows of an embedding file as query or gallery: junk and rows without labels dropped and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath

from reid.errors import DataError
from reid.labels import JUNK_PID
from reid.retrieval.columns import CAMIDS, PATHS, PIDS
from reid.retrieval.embeddings import BoolArray, Embeddings
from reid.retrieval.files import EmbeddingFile, Side
from reid.retrieval.label_values import UNKNOWN


@dataclass(frozen=True)
class LabelledSide:
    """Query or gallery, ready to be ranked, and what was left out of it.

    Attributes:
        embeddings: rows with an identity that is not junk.
        junk: rows that were dropped because their identity is -1.
        unlabelled: rows that were dropped because the file says that they have no identity or no camera.
    """

    embeddings: Embeddings
    junk: int
    unlabelled: int


def labelled(file: EmbeddingFile, side: Side) -> LabelledSide:
    """The rows of `file` as one side of a retrieval.

    Raises:
        DataError: no identities or cameras are given, names do not carry them, a path stands twice, or no row is left.
    """
    known = (file.pids != UNKNOWN) & (file.camids != UNKNOWN)
    if len(file):
        _require_labels(file, side, known)
    junk = known & (file.pids == JUNK_PID)
    kept = file.take(known & ~junk)
    if len(kept) == 0:
        raise DataError(
            f"{file.path} leaves no {side} embedding: {len(file)} rows, {int(junk.sum())} of them junk (identity -1), "
            f"{int((~known).sum())} without identity or camera",
            "a ranking needs at least one on each side",
            "check that this is the right file, and that it holds that side",
        )
    twice = [name for name, count in Counter(kept.paths).items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} paths stand more than once among the {side} rows of {file.path} ({_three(twice)})",
            "an image counted twice moves every figure",
            "write each image once for each side",
        )
    embeddings = Embeddings(kept.vectors, kept.pids, kept.camids, kept.paths)
    return LabelledSide(embeddings, int(junk.sum()), int((~known).sum()))


def _require_labels(file: EmbeddingFile, side: Side, known: BoolArray) -> None:
    nameless = [path for path, good in zip(file.paths, known.tolist(), strict=True) if not good] if file.paths else []
    if file.labels_from_names and nameless:
        raise DataError(
            f"{len(nameless)} of {len(file)} {side} paths in {file.path} give no identity and camera "
            f"({_three([PurePath(path).name for path in nameless])})",
            "without columns for them, both are read from base names such as 0007_c2s1_000003_00.jpg",
            "rename or remove these images, or write columns pid and camid (-1: junk, 0: distractor)",
        )
    if not known.any():
        raise DataError(
            f"{file.path} gives no identity and camera for its {len(file)} {side} rows; it holds "
            f"{', '.join(file.found)}",
            f"they are read from {PIDS[0]} and {CAMIDS[0]} (in a .npz of two sides {side}_pid and {side}_camid), or "
            f"from the names in {PATHS[0]}",
            "add both columns",
        )


def _three(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
