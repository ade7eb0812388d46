"""Feeds: every way to the device gives the same pixels, and the choice follows size and setting."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from reid.data import feeds
from reid.data.feeds import Feed, copied_ahead, feed_for, from_host, resident, to_device

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 6, 4, 3), dtype=np.uint8)
ROWS = np.random.default_rng(1).integers(0, 40, (7, 8))


@pytest.mark.parametrize(
    "feed",
    [
        partial(from_host, PIXELS),
        partial(copied_ahead, PIXELS, CPU),
        partial(resident, to_device(PIXELS, CPU)),
    ],
    ids=["from host", "copied ahead", "resident"],
)
def test_a_feed_gives_the_rows_of_each_batch_in_order(feed: Feed) -> None:
    given = list(feed(ROWS))

    assert len(given) == 7
    for images, rows in zip(given, ROWS, strict=True):
        assert np.array_equal(images.numpy(), PIXELS[rows])  # also after all of them were given: no buffer is shared
    assert list(feed(ROWS[:0])) == []
    assert np.array_equal(next(feed(ROWS[6:])).numpy(), PIXELS[ROWS[6]])


def test_the_next_batch_is_read_before_this_one_is_handed_over() -> None:
    pixels = PIXELS.copy()
    batches = copied_ahead(pixels, CPU, ROWS)
    first = next(batches)

    pixels[:] = 0

    assert np.array_equal(first.numpy(), PIXELS[ROWS[0]])
    assert np.array_equal(next(batches).numpy(), PIXELS[ROWS[1]])  # read while the first one was still to be given
    assert not next(batches).any()


def test_a_pack_on_the_device_is_whole_also_when_it_is_sent_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_ROWS_AT_ONCE", 7)  # 40 rows: five parts and a rest

    assert np.array_equal(to_device(PIXELS, CPU).numpy(), PIXELS)


@pytest.mark.parametrize(
    ("keep", "told"), [("on", "kept in the memory of cpu"), ("auto", "batch by batch"), ("off", "batch by batch")]
)
def test_on_a_cpu_only_on_keeps_a_copy_and_the_choice_is_logged_with_its_size(
    keep: str, told: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    np.save(tmp_path / "pack.npy", PIXELS)

    feed = feed_for(np.load(tmp_path / "pack.npy", mmap_mode="r"), CPU, keep)  # type: ignore[arg-type]

    assert np.array_equal(next(feed(ROWS)).numpy(), PIXELS[ROWS[0]])
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("40 training images of 6x4, 0.00 GB: ")
    assert told in caplog.messages[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("keep", ["on", "off"])
def test_both_feeds_of_a_gpu_give_the_same_pixels_on_it(keep: str) -> None:
    rows = np.random.default_rng(2).integers(0, 40, (300, 8))

    feed = feed_for(PIXELS, torch.device("cuda", 0), keep)  # type: ignore[arg-type]

    for images, expected in zip(feed(rows), rows, strict=True):
        assert images.device.type == "cuda"
        assert np.array_equal(images.cpu().numpy(), PIXELS[expected])
