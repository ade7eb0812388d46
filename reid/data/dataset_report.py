"""What a check of a data set found, as plain frozen figures and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reid.data.records import called

EXAMPLES = 3
"""How many names a report or a message shows of each kind."""


@dataclass(frozen=True)
class SubsetReport:
    """What one subset holds.

    Attributes:
        name: "train", "query" or "gallery".
        root: the folder; of several that were merged, the first.
        images: image files found, whatever their names.
        labelled: readable images with an identity, distractors included, junk left out.
        identities: distinct ones among the labelled, distractors left out.
        cameras: camera numbers among the labelled, sorted.
        junk: images labelled -1.
        distractors: readable images labelled 0.
        unmatched: images whose names do not follow the naming, by name.
        foreign: other files.
        unreadable: images that cannot be decoded, and why.
        single_camera: identities that only one camera sees in this subset, sorted.
        fingerprint: of the names and contents of all image files; the same from a folder and from its archive.
        classes: readable images of each class that has a folder of its own, by name; empty where there are none.
        sources: the folders that were merged, each in its own numbers; empty for a single one.
        repeated: pairs of files with the same bytes in two of those folders, the later folder's first.
    """

    name: str
    root: Path
    images: int
    labelled: int
    identities: int
    cameras: tuple[int, ...]
    junk: int
    distractors: int
    unmatched: tuple[str, ...]
    foreign: tuple[str, ...]
    unreadable: dict[Path, str]
    single_camera: tuple[int, ...]
    fingerprint: str
    classes: dict[str, int] = field(default_factory=dict)
    sources: tuple[SourceReport, ...] = ()
    repeated: tuple[tuple[Path, Path], ...] = ()

    @property
    def called(self) -> str:
        """What tables and messages call it."""
        return called(self.name, of_classes=bool(self.classes))

    @property
    def folders(self) -> tuple[SubsetReport, ...]:
        """The report of each folder, in the numbers that its file names give."""
        return tuple(source.report for source in self.sources) or (self,)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; of long lists the count and the first three. What was merged lists its folders."""
        if self.sources:
            return self._counts() | {
                "files_in_several_sources": _counted([f"{a} = {b}" for a, b in self.repeated]),
                "sources": [source.to_dict() for source in self.sources],
            }
        return self._counts() | {
            "root": str(self.root),
            "unreadable": {str(path.relative_to(self.root)): reason for path, reason in self.unreadable.items()},
            **({"classes": self.classes} if self.classes else {}),
        }

    def _counts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "images": self.images,
            "labelled": self.labelled,
            "identities": self.identities,
            "cameras": list(self.cameras),
            "junk": self.junk,
            "distractors": self.distractors,
            "unmatched": _counted(self.unmatched),
            "foreign": _counted(self.foreign),
            "single_camera_identities": list(self.single_camera),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True)
class SourceReport:
    """One of the folders of a merged subset.

    Attributes:
        report: of the folder alone, in its own numbers.
        pid_offset: what was added to its identities.
        camid_offset: what was added to its cameras.
    """

    report: SubsetReport
    pid_offset: int
    camid_offset: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.report.to_dict() | {"pid_offset": self.pid_offset, "camid_offset": self.camid_offset}

    def origin(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: enough to find the original number of each of its classes."""
        return {
            "fingerprint": self.report.fingerprint,
            "images": self.report.labelled,
            "identities": self.report.identities,
            "cameras": list(self.report.cameras),
            "pid_offset": self.pid_offset,
            "camid_offset": self.camid_offset,
        }


@dataclass(frozen=True)
class CrossReport:
    """What shows only across subsets. Distractors and junk take no part; a query never matches its own camera.

    Attributes:
        queries: labelled query images.
        missing_identities: query identities that the gallery does not have, sorted.
        without_match: queries of which no other camera has an image in the gallery, by name.
        single_camera: identities that only one camera sees in query and gallery together, sorted.
        query_gallery_duplicates: pairs (query, gallery) of files with the same bytes. Harmless in Market-1501's
            protocol, where the same-camera rule removes them; a sure hit in any other.
        train_test_duplicates: pairs (train, query or gallery) of files with the same bytes: the test set leaked.
    """

    queries: int
    missing_identities: tuple[int, ...]
    without_match: tuple[str, ...]
    single_camera: tuple[int, ...]
    query_gallery_duplicates: tuple[tuple[Path, Path], ...]
    train_test_duplicates: tuple[tuple[Path, Path], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; of long lists the count and the first three."""
        return {
            "queries": self.queries,
            "query_identities_missing_from_gallery": list(self.missing_identities),
            "queries_without_match": _counted(self.without_match),
            "single_camera_identities": list(self.single_camera),
            "query_gallery_duplicates": _counted([f"{a.name} = {b.name}" for a, b in self.query_gallery_duplicates]),
            "train_test_duplicates": _counted([f"{a.name} = {b.name}" for a, b in self.train_test_duplicates]),
        }


@dataclass(frozen=True)
class DatasetReport:
    """All that `check` found.

    Attributes:
        subsets: one report for each subset, in the order given.
        across: None unless a query and a gallery were given.
        digests: SHA-256 of every image file, hexadecimal; `pack_images` takes them.
    """

    subsets: tuple[SubsetReport, ...]
    across: CrossReport | None
    digests: dict[Path, str]

    def __getitem__(self, name: str) -> SubsetReport:
        """The report of the subset of that name."""
        return next(subset for subset in self.subsets if subset.name == name)

    @property
    def unreadable(self) -> dict[Path, str]:
        """Images of any subset that cannot be decoded, and why."""
        return {path: reason for subset in self.subsets for path, reason in subset.unreadable.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the digests of single files."""
        return {
            "subsets": {subset.name: subset.to_dict() for subset in self.subsets},
            "across": self.across.to_dict() if self.across else None,
        }


def _counted(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "first": list(names[:EXAMPLES])}
