"""Several folders of training images as one subset, in which their identities and cameras stay apart."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reid.data.dataset_report import SubsetReport
from reid.data.records import Record, Source, Subset
from reid.errors import DataError
from reid.labels import DISTRACTOR_PID

log = logging.getLogger(__name__)

_FEWEST_ZEROS = 6


def merge(name: str, folders: Sequence[Subset]) -> Subset:
    """One subset of all images, in the order of the folders.

    The first folder keeps its numbers. Identity 7 of the second becomes 1000007, of the third 2000007, and so do their
    cameras: other people and other cameras, whatever the file names say. The step is the same for all folders: a
    million, or the power of ten above the largest number. Junk and distractors stay what they are.

    Args:
        name: of the merged subset.
        folders: two or more.
    """
    pid_step = _step(record.pid for folder in folders for record in folder.records)
    camid_step = _step(record.camid for folder in folders for record in (*folder.records, *folder.junk))
    sources = tuple(Source(folder, i * pid_step, i * camid_step) for i, folder in enumerate(folders))
    merged = Subset(
        name,
        folders[0].root,
        records=tuple(_moved(record, source) for source in sources for record in source.subset.records),
        junk=tuple(_moved(record, source) for source in sources for record in source.subset.junk),
        unmatched=tuple(path for folder in folders for path in folder.unmatched),
        foreign=tuple(file for folder in folders for file in folder.foreign),
        sources=sources,
    )
    log.info(
        "merged %d folders to %s: %d labelled images, %d identities, %d cameras",
        *(len(folders), name, len(merged.records), len(merged.pids), len(merged.camids)),
    )
    return merged


def merged_fingerprint(fingerprints: Sequence[str]) -> str:
    """Of merged folders: it changes with each of them and with their order, on which the classes depend."""
    return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()


def repeated(subset: Subset, digests: Mapping[Path, str]) -> tuple[tuple[Path, Path], ...]:
    """Pairs of files with the same bytes in two of a merged subset's folders, the later folder's first; also logged."""
    first: dict[str, Path] = {}
    pairs: list[tuple[Path, Path]] = []
    for folder in subset.folders:
        own = {digests[record.path]: record.path for record in reversed(folder.records)}
        pairs += [
            (record.path, first[digests[record.path]]) for record in folder.records if digests[record.path] in first
        ]
        first = own | first
    if pairs:
        log.warning(
            "%s: %d images have the bytes of an image in an earlier folder, the first is %s, like %s; one person under "
            "two identities teaches a network what is not so",
            *(subset.name, len(pairs), *pairs[0]),
        )
    return tuple(pairs)


def require_different(report: SubsetReport) -> None:
    """Refuses a subset into which the same images were merged twice.

    Raises:
        DataError: two of its folders hold the same files under the same names.
    """
    first: dict[str, SubsetReport] = {}
    for source in report.sources:
        same = first.setdefault(source.report.fingerprint, source.report)
        if same is not source.report:
            raise DataError(
                f"{same.root} and {source.report.root} hold the same {same.images} images",
                "every person in them would be two identities, which no network can tell apart",
                "name each source once in dataset.train_dataset_dir and dataset.more_train_dataset_dirs",
            )


def _step(numbers: Iterable[int]) -> int:
    """A power of ten that no number reaches."""
    return int(10 ** max(_FEWEST_ZEROS, len(str(max(numbers, default=0)))))


def _moved(record: Record, source: Source) -> Record:
    pid = record.pid + source.pid_offset if record.pid > DISTRACTOR_PID else record.pid
    return replace(record, pid=pid, camid=record.camid + source.camid_offset)
