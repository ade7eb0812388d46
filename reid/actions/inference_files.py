"""The files of `inference`: TAO's JSON, and the table of embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.data.records import Record
from reid.files import atomic_path
from reid.retrieval.embedding_table import write_embedding_table
from reid.retrieval.embeddings import FloatArray

TABLE = "embeddings.parquet"


def write_inference_json(path: Path, images: Sequence[Path], vectors: FloatArray) -> None:
    """TAO's list of {"img_path": absolute path, "embedding": [float, ...]}, one entry a line; not normalised."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[\n")
        for index, (image, vector) in enumerate(zip(images, vectors, strict=True)):
            entry = {"img_path": str(image), "embedding": [float(str(number)) for number in vector]}
            file.write(("" if index == 0 else ",\n") + json.dumps(entry, allow_nan=False))
        file.write("\n]\n")


def write_embeddings_table(
    path: Path,
    images: Sequence[tuple[str, Path]],
    records: Sequence[Record | None],
    vectors: FloatArray,
    *,
    names: Sequence[str] = (),
    made_by: Mapping[str, Any],
) -> None:
    """Columns img_path, subset, pid, camid (null where the name has none), class and embedding (a list of D float32).

    Args:
        path: of the table.
        images: subset and path of each image.
        records: what the name of each says; None where it says nothing.
        vectors: float32 [N, D].
        names: of the classes, "" where there is none; empty for no such column.
        made_by: what `reid search` and `reid evaluate` must know of the network; the schema's metadata `reid`, as JSON.
    """
    write_embedding_table(
        path,
        vectors,
        paths=[str(image) for _, image in images],
        sides=[name for name, _ in images],
        pids=[record.pid if record else None for record in records],
        camids=[record.camid if record else None for record in records],
        classes=names,
        made_by=made_by,
    )
