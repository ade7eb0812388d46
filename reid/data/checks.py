"""Checks images and labels before any training time is spent on them.

Each file is read, hashed and decoded once (`verdicts.py`). What is found is a `DatasetReport`: figures for each subset,
and what only shows when subsets are laid side by side.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from reid.data.dataset_report import EXAMPLES, CrossReport, DatasetReport, SourceReport, SubsetReport
from reid.data.merge import merged_fingerprint, repeated
from reid.data.records import Record, Subset, fingerprint
from reid.data.requirements import cameras_of, some, without_match
from reid.data.verdicts import judge
from reid.errors import DataError
from reid.labels import DISTRACTOR_PID

log = logging.getLogger(__name__)


def check(
    *subsets: Subset,
    on_bad_image: Literal["skip", "error"] = "skip",
    cache_dir: Path | None = None,
    workers: int | None = None,
) -> DatasetReport:
    """Reads, hashes and decodes every image once; with a cache, only those that changed since the last time.

    Args:
        subsets: at most one of each name; across them "query" is held against "gallery", and "train" against both.
        on_bad_image: "error" refuses a data set with an unreadable image; "skip" counts and names it.
        cache_dir: keeps what was found of each file; None to keep nothing.
        workers: threads; None for one a core.

    Raises:
        DataError: `on_bad_image` is "error" and an image cannot be decoded; or every image of a subset, or of a class
            that has a folder of its own, is unreadable.
    """
    digests: dict[Path, str] = {}
    unreadable: dict[Path, str] = {}
    for folder in (folder for subset in subsets for folder in subset.folders):
        verdicts = judge(folder, cache_dir=cache_dir, workers=workers)
        digests |= {path: verdict.digest for path, verdict in verdicts.items()}
        bad = {path: verdict.reason for path, verdict in verdicts.items() if verdict.reason}
        for path, reason in list(bad.items())[:EXAMPLES]:
            log.warning("image %s: %s", path, reason)
        if bad and (on_bad_image == "error" or len(bad) == len(folder.images)):
            raise _unreadable(folder, bad)
        _require_readable_classes(folder, bad)
        unreadable |= bad
    reports = [_report(subset, unreadable, digests) for subset in subsets]
    report = DatasetReport(tuple(reports), across=None, digests=digests)
    by_name = {subset.name: usable(subset, report) for subset in subsets}
    if "query" in by_name and "gallery" in by_name:
        return replace(report, across=_across(by_name, digests))
    return report


def usable(subset: Subset, report: DatasetReport) -> Subset:
    """The subset without its unreadable images."""
    bad = report.unreadable
    if not bad:
        return subset
    return replace(
        subset,
        records=tuple(record for record in subset.records if record.path not in bad),
        junk=tuple(record for record in subset.junk if record.path not in bad),
        unmatched=tuple(path for path in subset.unmatched if path not in bad),
        sources=tuple(replace(source, subset=usable(source.subset, report)) for source in subset.sources),
    )


def _require_readable_classes(subset: Subset, unreadable: Mapping[Path, str]) -> None:
    left = {record.pid for record in subset.records if record.path not in unreadable}
    if gone := sorted(set(subset.classes) - left):
        first = next(record for record in subset.records if record.pid == gone[0])
        raise DataError(
            f"no image of {some(subset.names_of(gone))} in {subset.place} can be read: {first.path.name} "
            f"({unreadable[first.path]})",
            "the class would have no image left",
            "restore the images from their source, or take the class folder away",
        )


def _report(subset: Subset, unreadable: dict[Path, str], digests: dict[Path, str]) -> SubsetReport:
    records = [record for record in subset.records if record.path not in unreadable]
    sources = tuple(
        SourceReport(_report(source.subset, unreadable, digests), source.pid_offset, source.camid_offset)
        for source in subset.sources
    )
    return SubsetReport(
        name=subset.name,
        root=subset.root,
        images=len(subset.images),
        labelled=len(records),
        identities=len({record.pid for record in records} - {DISTRACTOR_PID}),
        cameras=tuple(sorted({record.camid for record in records})),
        junk=len(subset.junk),
        distractors=sum(record.pid == DISTRACTOR_PID for record in records),
        unmatched=tuple(path.name for path in subset.unmatched),
        foreign=subset.foreign,
        unreadable={path: unreadable[path] for path in subset.images if path in unreadable},
        single_camera=() if subset.classes else _single_camera(records),
        fingerprint=merged_fingerprint([source.report.fingerprint for source in sources])
        if sources
        else fingerprint(map(subset.label_name, subset.images), [digests[path] for path in subset.images]),
        classes=_images_of_classes(subset, records),
        sources=sources,
        repeated=repeated(subset, digests),
    )


def _images_of_classes(subset: Subset, records: Sequence[Record]) -> dict[str, int]:
    images = Counter(record.pid for record in records)
    return {name: images[pid] for pid, name in subset.classes.items()}


def _across(subsets: dict[str, Subset], digests: dict[Path, str]) -> CrossReport:
    query, gallery = subsets["query"], subsets["gallery"]
    train = subsets.get("train")
    test = [*query.records, *gallery.records]
    missing = tuple(sorted(set(query.pids) - set(gallery.pids)))
    if query.classes:  # without cameras, any image of the class is a match
        unmatched = [record for record in query.records if record.pid in missing]
    else:
        unmatched = without_match(query.records, gallery.records)
    return CrossReport(
        queries=len(query.records),
        missing_identities=missing,
        without_match=tuple(record.path.name for record in unmatched),
        single_camera=() if query.classes else _single_camera(test),
        query_gallery_duplicates=_duplicates(query.records, gallery.records, digests),
        train_test_duplicates=_duplicates(train.records, test, digests) if train else (),
    )


def _single_camera(records: Sequence[Record]) -> tuple[int, ...]:
    return tuple(sorted(pid for pid, cameras in cameras_of(records).items() if len(cameras) == 1))


def _duplicates(
    ours: Sequence[Record], theirs: Sequence[Record], digests: dict[Path, str]
) -> tuple[tuple[Path, Path], ...]:
    """Pairs of different files with the same bytes, one pair for each of `ours`."""
    first = {digests[record.path]: record.path for record in reversed(theirs)}
    pairs = ((record.path, first.get(digests[record.path])) for record in ours)
    return tuple((mine, other) for mine, other in pairs if other is not None)


def _unreadable(subset: Subset, unreadable: dict[Path, str]) -> DataError:
    path, reason = next(iter(unreadable.items()))
    others = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
    all_of_them = len(unreadable) == len(subset.images)
    return DataError(
        f"{len(unreadable)} of {len(subset.images)} images of the {subset.called} folder {subset.root} cannot be read: "
        f"{path.name} ({reason}){others}",
        "no image would be left" if all_of_them else "dataset.on_bad_image is error",
        "restore them from their source"
        + ("" if all_of_them else ", or set dataset.on_bad_image=skip to leave them out"),
    )
