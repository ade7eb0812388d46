"""What a data set is, once read: image records, and what else lay in the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reid.labels import DISTRACTOR_PID


@dataclass(frozen=True, order=True)
class Record:
    """One labelled image.

    Attributes:
        path: absolute path of the image file.
        pid: person identity; `JUNK_PID`, `DISTRACTOR_PID` or a positive number.
        camid: camera number exactly as the file name gives it (Market-1501 counts from 1), unless `merge` moved it.
        view: number of the view, for names that give one (see `view_of`).
    """

    path: Path
    pid: int
    camid: int
    view: int | None = None


@dataclass(frozen=True)
class Subset:
    """The images of one folder (train, query or gallery), in sorted order of their paths; or of several, merged.

    Attributes:
        name: "train", "query" or "gallery", or another one.
        root: the folder that was read; of several, the first.
        records: images with an identity, junk excluded.
        junk: images labelled -1; dropped from training and evaluation, still embedded by `inference`.
        unmatched: image files whose names do not follow the naming; counted and named, never guessed at.
        foreign: other files in the folder (`Thumbs.db`, `LICENSE`), by relative name.
        sources: the folders that were merged; empty for a single one. See `merge`.
        classes: where each identity is a class with a folder of its own (`read_class_folders`), the name by which it is
            known, by its number; empty where file names give the identity.
    """

    name: str
    root: Path
    records: tuple[Record, ...]
    junk: tuple[Record, ...] = ()
    unmatched: tuple[Path, ...] = ()
    foreign: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    classes: dict[int, str] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """What messages call it."""
        return called(self.name, of_classes=bool(self.classes))

    @property
    def folders(self) -> tuple[Subset, ...]:
        """What was read from each folder, with the numbers that its file names give."""
        return tuple(source.subset for source in self.sources) or (self,)

    @property
    def place(self) -> str:
        """The folder or folders, for messages."""
        roots = ", ".join(str(folder.root) for folder in self.folders)
        return f"the {self.called} folder{'s' if self.sources else ''} {roots}"

    @property
    def images(self) -> tuple[Path, ...]:
        """Every image file found, whatever its name, sorted."""
        return tuple(sorted([r.path for r in self.records] + [r.path for r in self.junk] + list(self.unmatched)))

    @property
    def pids(self) -> tuple[int, ...]:
        """Sorted identities, distractors (0) left out."""
        return tuple(sorted({r.pid for r in self.records} - {DISTRACTOR_PID}))

    @property
    def camids(self) -> tuple[int, ...]:
        """Sorted camera numbers."""
        return tuple(sorted({r.camid for r in self.records}))

    @property
    def views(self) -> tuple[int, ...]:
        """Sorted view numbers; empty where no name gives one."""
        return tuple(sorted({r.view for r in self.records if r.view is not None}))

    def count_of(self, number: int) -> str:
        """A number of its identities in words: "1 identity", "3 classes"."""
        one, several = ("class", "classes") if self.classes else ("identity", "identities")
        return f"{number:,} {one if number == 1 else several}"

    def names_of(self, pids: Iterable[int]) -> list[str]:
        """How people know some identities: the name of a class, the number of a person."""
        return [self.classes.get(pid, str(pid)) for pid in pids]

    def label_name(self, path: Path) -> str:
        """The part of an image's path that gives its label: the base name, behind its class folder's if it has one."""
        if not self.classes or path.parent == self.root:
            return path.name
        return f"{path.relative_to(self.root).parts[0]}/{path.name}"

    @property
    def num_distractors(self) -> int:
        """Images with identity 0."""
        return sum(r.pid == DISTRACTOR_PID for r in self.records)


@dataclass(frozen=True)
class Source:
    """One of the folders that make up a merged subset.

    Attributes:
        subset: as it was read.
        pid_offset: added to its identities in the merged subset; junk and distractors keep theirs.
        camid_offset: added to its cameras there.
    """

    subset: Subset
    pid_offset: int
    camid_offset: int


def called(name: str, *, of_classes: bool) -> str:
    """What messages call a subset: the gallery of classes holds references."""
    return "reference" if of_classes and name == "gallery" else name


def fingerprint(names: Iterable[str], digests: Sequence[str]) -> str:
    """Identifies a set of images by names and contents: the same from a folder and from any archive of it.

    Args:
        names: of each image the part of its path that gives the label (`Subset.label_name`), any order.
        digests: the SHA-256 of each file, hexadecimal, in the same order.
    """
    whole = hashlib.sha256()
    for name, digest in sorted(zip(names, digests, strict=True)):
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()
