"""What inference embedded, and what a family answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.data.records import Record, Subset
from reid.retrieval.embeddings import FloatArray


@dataclass(frozen=True)
class Inputs:
    """Images that were embedded, query before gallery.

    Attributes:
        images: subset and path of each.
        records: what is known of each; None where it has no label.
        vectors: float32 [N, D].
        subsets: "query" and "gallery", as far as there are images of both.
        made_by: what files must say of the network.
    """

    images: Sequence[tuple[str, Path]]
    records: Sequence[Record | None]
    vectors: FloatArray
    subsets: Mapping[str, Subset]
    made_by: Mapping[str, Any]

    def side(self, name: str) -> Inputs:
        """Those of one subset."""
        rows = [row for row, (side, _) in enumerate(self.images) if side == name]
        return Inputs(
            [self.images[row] for row in rows],
            [self.records[row] for row in rows],
            self.vectors[rows],
            {name: self.subsets[name]},
            self.made_by,
        )

    @property
    def paths(self) -> list[str]:
        """Of the images."""
        return [str(path) for _, path in self.images]


@dataclass(frozen=True)
class Answers:
    """What was written of them.

    Attributes:
        files: by a short name.
        tracked: the names of those that belong into the MLflow run.
        figures: of them; the number of images is that of all unless it stands here.
    """

    files: dict[str, Path]
    tracked: tuple[str, ...]
    figures: Mapping[str, float | int]


Answering = Callable[[Inputs, Path], Answers]
"""Writes the files of inference into a folder."""
