"""What a check of data found, in plain words and few columns; `--json` has every figure under its program name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reid.data.dataset_report import CrossReport, DatasetReport, SubsetReport

_SHOWN = 3
"""Names of each kind that are spelled out."""


def header(report: DatasetReport) -> tuple[str, ...]:
    """An empty cell and the subsets' names."""
    return ("", *(subset.called for subset in report.subsets))


def subset_rows(report: DatasetReport) -> list[tuple[str, ...]]:
    """A row for each fact, with a cell for each subset."""
    facts = _class_facts if _has_classes(report) else _facts
    columns = [facts(subset) for subset in report.subsets]
    return [(fact, *(column[fact] for column in columns)) for fact in columns[0]]


def across_rows(report: DatasetReport) -> list[tuple[str, str]]:
    """Facts that show only when query, gallery and training images are laid side by side; none where they are not."""
    across = report.across
    if across is None:
        return []
    if _has_classes(report):
        return [
            ("queries", f"{across.queries:,}"),
            ("query classes without a reference", f"{len(across.missing_identities):,}"),
            *_copies(across, _gallery(report)),
        ]
    return [
        ("queries", f"{across.queries:,}"),
        ("queries without a match by another camera", f"{len(across.without_match):,}"),
        ("query identities missing in the gallery", f"{len(across.missing_identities):,}"),
        ("identities that one camera alone sees", f"{len(across.single_camera):,}"),
        *_copies(across, _gallery(report)),
    ]


def across_title(report: DatasetReport) -> str:
    """Of that table."""
    return f"query against {_gallery(report)}"


def notes(report: DatasetReport) -> Iterator[str]:
    """Lines below the tables: where each subset lies, and the first names of what was counted as odd."""
    if _has_classes(report):
        yield from _class_notes(report)
        return
    for subset in report.subsets:
        if subset.sources:
            yield f"{subset.name}: {len(subset.sources)} folders, whose identities and cameras are kept apart"
            repeated = [f"{later} = {earlier}" for later, earlier in subset.repeated]
            yield from _named("files with the bytes of one in an earlier folder", repeated)
        for folder in subset.folders:
            yield f"{folder.name}: {folder.root}"
            if subset.sources:
                yield f"  {folder.labelled:,} images, {folder.identities:,} identities, {len(folder.cameras)} cameras"
            yield from _named("names that do not follow the naming", folder.unmatched)
            yield from _named("other files", folder.foreign)
            yield from _named("unreadable", [path.name for path in folder.unreadable])
            yield from _named("seen by one camera alone", [str(pid) for pid in folder.single_camera])
    if report.across:
        yield from _named("queries without a match", report.across.without_match, indent="")
        missing = [str(pid) for pid in report.across.missing_identities]
        yield from _named("query identities missing in the gallery", missing, indent="")


def _class_notes(report: DatasetReport) -> Iterator[str]:
    for subset in report.subsets:
        yield f"{subset.called}: {subset.root}"
        yield from _named("images beside the class folders", subset.unmatched)
        yield from _named("other files", subset.foreign)
        yield from _named("unreadable", [path.name for path in subset.unreadable])
        smallest = sorted(subset.classes, key=lambda name: (subset.classes[name], name))
        yield from _named("smallest classes", [f"{name} ({subset.classes[name]:,})" for name in smallest])


def _has_classes(report: DatasetReport) -> bool:
    return any(subset.classes for subset in report.subsets)


def _gallery(report: DatasetReport) -> str:
    return "references" if _has_classes(report) else "gallery"


def _copies(across: CrossReport, gallery: str) -> list[tuple[str, str]]:
    return [
        (f"files both in query and {gallery}", f"{len(across.query_gallery_duplicates):,}"),
        ("files both in training and test", f"{len(across.train_test_duplicates):,}"),
    ]


def _class_facts(subset: SubsetReport) -> dict[str, str]:
    sizes = subset.classes.values()
    counts = {
        "images": subset.images,
        "in a class folder": subset.labelled,
        "classes": subset.identities,
        "images of the smallest class": min(sizes, default=0),
        "images of the largest class": max(sizes, default=0),
        "beside the class folders": len(subset.unmatched),
        "unreadable": len(subset.unreadable),
        "other files": len(subset.foreign),
    }
    return {fact: f"{count:,}" for fact, count in counts.items()} | {"fingerprint": subset.fingerprint[:12]}


def _facts(subset: SubsetReport) -> dict[str, str]:
    counts = {
        "images": subset.images,
        "with identity and camera": subset.labelled,
        "identities": subset.identities,
        "cameras": len(subset.cameras),
        "distractors (0)": subset.distractors,
        "junk (-1), dropped": subset.junk,
        "names not understood": len(subset.unmatched),
        "unreadable": len(subset.unreadable),
        "other files": len(subset.foreign),
        "identities of one camera": len(subset.single_camera),
    }
    return {fact: f"{count:,}" for fact, count in counts.items()} | {"fingerprint": subset.fingerprint[:12]}


def _named(kind: str, names: Sequence[str], *, indent: str = "  ") -> Iterator[str]:
    if names:
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        yield f"{indent}{kind}: {', '.join(names[:_SHOWN])}{more}"
