"""Chunks by threads: in order, bounded, and the first failure wins."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import pytest

from reid.data import progress as progress_module
from reid.data.parallel import CHUNK, map_chunks, usable_cores
from reid.data.progress import amount, progress


def test_results_come_in_order_though_later_chunks_end_first() -> None:
    def slow_first(chunk: Sequence[int]) -> list[int]:
        time.sleep(0.05 if chunk[0] == 0 else 0.0)
        return list(chunk)

    chunks = list(map_chunks(slow_first, range(3 * CHUNK + 1), workers=4))
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, CHUNK, 1]
    assert [number for chunk in chunks for number in chunk] == list(range(3 * CHUNK + 1))


def test_nothing_gives_nothing() -> None:
    assert list(map_chunks(len, [], workers=2)) == []


def test_a_slow_consumer_never_has_more_than_four_chunks_a_worker_waiting() -> None:
    begun: list[int] = []

    def work(chunk: Sequence[int]) -> int:
        begun.append(chunk[0])
        return chunk[0]

    results = map_chunks(work, range(100 * CHUNK), workers=2)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(begun) <= 8
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 8


def test_the_failure_is_raised_at_its_place_and_the_rest_is_dropped() -> None:
    def fail_at_second(chunk: Sequence[int]) -> int:
        if chunk[0] == CHUNK:
            raise ValueError("second")
        return chunk[0]

    results = map_chunks(fail_at_second, range(50 * CHUNK), workers=2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="second"):
        next(results)


def test_there_is_at_least_one_core() -> None:
    assert usable_cores() >= 1


def test_away_from_a_terminal_progress_is_a_line_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress_module, "_LINE_EVERY_S", 0.0)
    with progress("fetching a", 4_000_000, unit="B") as advance:
        advance(1_000_000)
        advance(1_500_000)
    assert [record.message for record in caplog.records] == [
        "fetching a: 1.0 MB of 4.0 MB after 0 s",
        "fetching a: 2.5 MB of 4.0 MB after 0 s",
    ]


def test_amounts_are_for_people() -> None:
    assert (amount(12_345_678, "B"), amount(12_936, "images")) == ("12.3 MB", "12,936 images")
