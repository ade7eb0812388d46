"""A gallery file of references: embeddings under class names, which grows by classes without any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import DataError
from reid.retrieval.embedding_table import write_embedding_table
from reid.retrieval.embeddings import Embeddings, FloatArray
from reid.retrieval.gallery import open_gallery


@dataclass(frozen=True)
class References:
    """Embedded references of named classes.

    Attributes:
        embeddings: classes are identities 1, 2, ... in the order of their names; all cameras are 0.
        classes: name of each number.
        made_by: of the network that embedded them: checkpoint, checkpoint_sha256, preprocess, ...
    """

    embeddings: Embeddings
    classes: Mapping[int, str]
    made_by: Mapping[str, Any]

    @classmethod
    def of(
        cls, vectors: FloatArray, names: Sequence[str], paths: Sequence[str], made_by: Mapping[str, Any]
    ) -> References:
        """Numbers the classes; vectors float32 [N, D], names [N] and paths [N].

        Raises:
            DataError: there is no vector, or one holds NaN or infinite numbers.
        """
        known = sorted(set(names))
        number = {name: pid for pid, name in enumerate(known, start=1)}
        pids = np.array([number[name] for name in names], np.int64)
        return cls(Embeddings(vectors, pids, 0 * pids, tuple(paths)), dict(enumerate(known, start=1)), dict(made_by))

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def names(self) -> list[str]:
        """The class of each reference, [N]."""
        return [self.classes[pid] for pid in self.embeddings.pids.tolist()]

    def counts(self) -> dict[str, int]:
        """References of each class, in the order of names."""
        return dict(sorted(Counter(self.names).items()))

    def without(self, *, classes: Collection[str] = (), paths: Collection[str] = ()) -> References | None:
        """What is left when some classes and some images go; None when nothing is."""
        known = zip(self.names, self.embeddings.paths, strict=True)
        kept = np.array([name not in classes and path not in paths for name, path in known])
        if not kept.any():
            return None
        names, files = (np.array(values, object)[kept].tolist() for values in (self.names, self.embeddings.paths))
        return References.of(self.embeddings.vectors[kept], names, files, self.made_by)

    def joined(self, other: References) -> References:
        """Both; the network of this one is noted.

        Raises:
            DataError: their vectors differ in length.
        """
        one, two = self.embeddings, other.embeddings
        if one.dim != two.dim:
            raise DataError(
                f"references of {one.dim} numbers each and further ones of {two.dim}",
                "a distance needs vectors of one dimension",
                "embed all of them with one network",
            )
        vectors = np.concatenate([one.vectors, two.vectors])
        return References.of(vectors, self.names + other.names, one.paths + two.paths, self.made_by)

    def write(self, path: Path) -> None:
        """Writes the gallery file, sorted by class and path, whole or not at all."""
        order = sorted(range(len(self)), key=lambda row: (self.embeddings.pids[row], self.embeddings.paths[row]))
        names, paths = self.names, self.embeddings.paths
        write_embedding_table(
            path,
            self.embeddings.vectors[order],
            paths=[paths[row] for row in order],
            sides=["gallery"] * len(self),
            pids=self.embeddings.pids[order].tolist(),
            camids=[0] * len(self),
            classes=[names[row] for row in order],
            made_by=self.made_by,
        )


def read_gallery_references(path: Path) -> References:
    """Reads a gallery file with class names, as `References.write` writes it, all of it into memory.

    Raises:
        DataError: the file is missing, damaged or of another kind, or a row has no class name.
    """
    opened = open_gallery(path)
    images = opened.images(opened.rows.tolist())
    nameless = [row for row, image in zip(opened.rows.tolist(), images, strict=True) if not image.class_name]
    if nameless:
        raise DataError(
            f"{len(nameless)} of {len(images)} rows of {path} have no class name; the first is row {nameless[0]}",
            "references are known by the class they show, in a column named class",
            "make the file with `reid enroll`, or write that column",
        )
    vectors = np.concatenate([block for _, block in opened.blocks()])
    names = [image.class_name or "" for image in images]
    return References.of(vectors, names, [image.path or "" for image in images], opened.metadata)
