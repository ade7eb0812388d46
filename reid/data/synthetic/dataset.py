"""Writes a whole drawn data set: three archives in Market-1501 naming, the same bytes for the same arguments."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from reid.data.synthetic.packing import add, archive
from reid.data.synthetic.shots import Shot, plan_shots
from reid.errors import DataError, ReidError

log = logging.getLogger(__name__)

TRAIN, TEST, QUERY = "sample_train", "sample_test", "sample_query"
"""Names of the archives, without their ending, and of the one folder inside each."""


@dataclass(frozen=True)
class SampleCounts:
    """What was written.

    Attributes:
        archives: the files, by `TRAIN`, `TEST` and `QUERY`.
        train, query, gallery: images with an identity.
        junk, distractors: gallery images with pid -1 and 0.
        train_identities, test_identities: disjoint.
        cameras: numbered from 1.
    """

    archives: dict[str, Path]
    train: int
    query: int
    gallery: int
    junk: int
    distractors: int
    train_identities: int
    test_identities: int
    cameras: int


def generate(
    out: Path,
    *,
    identities: int,
    cameras: int,
    images_per_camera: int,
    seed: int,
    workers: int | None = None,
) -> SampleCounts:
    """Draws `identities` people in every camera and writes sample_train, sample_test and sample_query.tar.gz.

    Odd identities are for training, even ones for the test: of a test identity the first image in each camera is a
    query and the others are in the gallery. The gallery has junk (a tenth of its images) and distractors (an eighth)
    besides. Every image has a random stream of its own, so that the bytes do not depend on `workers`.

    Args:
        out: folder for the archives; made when missing.
        identities: people in all, at least 4.
        cameras: at least 2, so that a query has a match that its own camera did not take.
        images_per_camera: of each person, at least 2, one of which becomes the query.
        seed: not negative.
        workers: processes; None takes all cores, and one for a small sample. More than one needs
            a program that can be imported again (`if __name__ == "__main__":`).

    Raises:
        DataError: an argument is out of bounds.
        StorageError: the disk is full or not writable; no archive is left under its final name.
    """
    _check(identities, cameras, images_per_camera, seed, workers)
    plan = plan_shots(identities, cameras, images_per_camera, seed)
    total = sum(shot.count for shot in plan)
    processes = workers or max(1, min(os.cpu_count() or 1, total // 400))
    archives = {name: out / f"{name}.tar.gz" for name in (TRAIN, TEST, QUERY)}
    counts = dict.fromkeys(("train", "query", "gallery", "junk", "distractors"), 0)
    started = reported = time.monotonic()
    log.info("drawing %d images of %d identities in %d cameras", total, identities, cameras)
    with ExitStack() as stack:
        tars = {name: stack.enter_context(archive(path)) for name, path in archives.items()}
        for shot, images in _drawn(plan, processes):
            for index, (name, data) in enumerate(images):
                kind = shot.kind_of(index)
                counts[kind] += 1
                add(tars[_FOLDERS[kind]], f"{_FOLDERS[kind]}/{name}", data)
            if time.monotonic() - reported > 10:
                reported = time.monotonic()
                done = sum(counts.values())
                log.info("drew %d of %d images, %.0f a second", done, total, done / (reported - started))
    log.info("drew %d images in %.1f s into %s", total, time.monotonic() - started, out)
    return SampleCounts(
        archives=archives,
        train_identities=(identities + 1) // 2,
        test_identities=identities // 2,
        cameras=cameras,
        **counts,
    )


_FOLDERS = {"train": TRAIN, "query": QUERY, "gallery": TEST, "junk": TEST, "distractors": TEST}


def _drawn(plan: list[Shot], processes: int) -> Iterator[tuple[Shot, list[tuple[str, bytes]]]]:
    """Each shot with its images, in the order of the plan; few are in memory at a time."""
    if processes == 1:
        for shot in plan:
            yield shot, shot.draw()
        return
    # Not forked: a parent with threads (torch, a Prefect server) may hold locks that a forked child never gets.
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    waiting: deque[tuple[tuple[Shot, ...], Future[list[list[tuple[str, bytes]]]]]] = deque()
    try:
        for chunk in _chunks(plan, images=64):
            waiting.append((chunk, pool.submit(_draw_all, chunk)))
            if len(waiting) > 4 * processes:
                yield from _collected(*waiting.popleft())
        while waiting:
            yield from _collected(*waiting.popleft())
    except BrokenProcessPool as error:
        raise ReidError(
            f"one of {processes} drawing processes ended before its work was done",
            "the system may have stopped it for want of memory, or the calling program cannot be imported again",
            'use workers=1, or call from a file with if __name__ == "__main__":',
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(plan: list[Shot], images: int) -> Iterator[tuple[Shot, ...]]:
    """Neighbouring shots, together at least this many images, so that the way to a worker costs little."""
    chunk: list[Shot] = []
    for shot in plan:
        chunk.append(shot)
        if sum(member.count for member in chunk) >= images:
            yield tuple(chunk)
            chunk = []
    if chunk:
        yield tuple(chunk)


def _collected(
    chunk: tuple[Shot, ...], future: Future[list[list[tuple[str, bytes]]]]
) -> Iterator[tuple[Shot, list[tuple[str, bytes]]]]:
    return zip(chunk, future.result(), strict=True)


def _draw_all(shots: tuple[Shot, ...]) -> list[list[tuple[str, bytes]]]:
    return [shot.draw() for shot in shots]


def _check(identities: int, cameras: int, images_per_camera: int, seed: int, workers: int | None) -> None:
    bounds = (
        ("identities", identities, 4, "half of them are for training and half for the test, two at least in each"),
        ("cameras", cameras, 2, "matches from the query's own camera are left out, so one camera has no match"),
        ("images_per_camera", images_per_camera, 2, "one image becomes the query and another must be in the gallery"),
        ("seed", seed, 0, "random streams are numbered from 0"),
        ("workers", 1 if workers is None else workers, 1, "someone has to draw"),
    )
    for name, value, least, why in bounds:
        if value < least:
            raise DataError(f"{name} is {value}", why, f"give {name}={least} or more")
