"""Writes embeddings as the Parquet table that search, evaluation and recognition read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.files import atomic_path
from reid.retrieval.columns import CAMIDS, CLASSES, PATHS, PIDS, SUBSETS, VECTORS
from reid.retrieval.embeddings import FloatArray
from reid.retrieval.file_formats import METADATA

_ROWS_A_GROUP = 2**16  # a reader with little memory takes one group at a time


def write_embedding_table(
    path: Path,
    vectors: FloatArray,
    *,
    paths: Sequence[str],
    sides: Sequence[str],
    pids: Sequence[int | None],
    camids: Sequence[int | None],
    classes: Sequence[str] = (),
    made_by: Mapping[str, Any],
) -> None:
    """Columns img_path, subset, pid, camid, class and embedding (a list of D float32), whole or not at all.

    Args:
        path: of the table.
        vectors: float32 [N, D].
        paths: [N], of the images.
        sides: [N], "query" or "gallery".
        pids: [N]; None where an image has none.
        camids: [N], likewise.
        classes: [N], names, or empty: then there is no such column.
        made_by: what readers must know of the network; the schema's metadata `reid`, as JSON.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        PATHS[0]: pa.array(paths, pa.string()),
        SUBSETS[0]: pa.array(sides, pa.string()).dictionary_encode(),
        PIDS[0]: pa.array(pids, pa.int64()),
        CAMIDS[0]: pa.array(camids, pa.int64()),
    }
    if classes:
        columns[CLASSES[0]] = pa.array(classes, pa.string()).dictionary_encode()
    columns[VECTORS[0]] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(made_by)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=_ROWS_A_GROUP)
