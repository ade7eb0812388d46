"""Which checkpoints a training leaves, and in which order others go."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl

from reid.errors import CheckpointError, StorageError
from reid.model.checkpoint import load_checkpoint
from reid.model.keeping import Keeping
from reid.model.selection import select_checkpoint
from tests.model.fitting import train

SCORES = (0.5, 0.9, 0.2, 0.9, 0.6, 0.1)
"""cmc_rank_1 of six epochs: the best are 1, 3 (equal, so the earlier first), 4 and 0; the last is the worst."""

Measure = Callable[[pl.LightningModule], dict[str, float]]


def scored(scores: Iterator[float]) -> Measure:
    def measure(module: pl.LightningModule) -> dict[str, float]:
        rank_1 = next(scores)
        return {"cmc_rank_1": rank_1, "mAP": rank_1 / 2}

    return measure


def epochs_in(folder: Path) -> list[int]:
    return sorted(int(path.name[12:15]) for path in folder.glob("model_epoch_*.pth"))


@pytest.mark.parametrize(
    ("keeping", "left"),
    [
        (Keeping(best=-1), [0, 1, 2, 3, 4, 5]),
        (Keeping(best=0), [5]),
        (Keeping(best=1), [1, 5]),
        (Keeping(best=3), [1, 3, 4, 5]),
        (Keeping(best=1, epoch=2), [1, 2, 5]),
    ],
)
def test_the_best_validations_the_latest_and_the_epoch_asked_for_stay(
    keeping: Keeping, left: list[int], tmp_path: Path
) -> None:
    train(tmp_path, epochs=6, measure=scored(iter(SCORES)), keeping=keeping)

    assert epochs_in(tmp_path) == left
    assert load_checkpoint(tmp_path / "model_best.pth").epoch == 1
    assert (tmp_path / "reid_model_latest.pth").readlink().name == "model_epoch_005_step_00012.pth"


def test_checkpoints_by_step_leave_when_the_next_one_is_there(tmp_path: Path) -> None:
    train(tmp_path, epochs=3, measure=scored(iter(SCORES)), checkpoint_unit="step", keeping=Keeping(best=1))

    assert sorted(path.name for path in tmp_path.glob("model_epoch_*")) == [
        "model_epoch_001_step_00004.pth", "model_epoch_002_step_00006.pth",
    ]  # fmt: skip


def test_a_resumed_training_remembers_how_good_the_kept_ones_are(tmp_path: Path) -> None:
    first, then = iter(SCORES[:3]), iter(SCORES[3:])
    train(tmp_path, epochs=3, measure=scored(first), keeping=Keeping(best=2))
    assert epochs_in(tmp_path) == [0, 1, 2]

    start = select_checkpoint(tmp_path, "latest_model")
    train(tmp_path, epochs=6, measure=scored(then), keeping=Keeping(best=2), resume_from=start)

    assert epochs_in(tmp_path) == [1, 3, 5]


def test_what_a_killed_run_had_no_time_to_remove_goes_at_the_next_start(tmp_path: Path) -> None:
    train(tmp_path, epochs=4, measure=scored(iter(SCORES)), keeping=Keeping(best=-1))
    start = select_checkpoint(tmp_path, "latest_model")

    train(tmp_path, epochs=4, keeping=Keeping(best=1), resume_from=start)  # it has no epoch left to train

    assert epochs_in(tmp_path) == [1, 3]


def test_the_checkpoint_that_was_named_to_go_on_from_stays(tmp_path: Path) -> None:
    train(tmp_path, epochs=2, measure=scored(iter((0.5, 0.1))), keeping=Keeping(best=-1))
    named = tmp_path / "model_epoch_001_step_00004.pth"

    train(tmp_path, epochs=4, measure=scored(iter((0.6, 0.7))), resume_from=named, keeping=Keeping(best=1, file=named))

    assert epochs_in(tmp_path) == [1, 3]


def test_files_of_others_are_never_removed(tmp_path: Path) -> None:
    for name in ("model_epoch_000_step_99999.pth", "notes.pth"):
        (tmp_path / name).write_text("mine")

    train(tmp_path, epochs=2, measure=scored(iter(SCORES)), keeping=Keeping(best=0))

    assert (tmp_path / "model_epoch_000_step_99999.pth").read_text() == "mine"
    assert (tmp_path / "notes.pth").read_text() == "mine"


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """Makes every later write of more than 4 kB fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_removed_before_the_next_one_is_whole_and_linked(
    full_disk: Callable[[], None], tmp_path: Path
) -> None:
    def measure(module: pl.LightningModule) -> dict[str, float]:
        if module.current_epoch == 2:
            full_disk()
        return {"cmc_rank_1": 0.5, "mAP": 0.5}

    with pytest.raises(StorageError, match=r"no space left while writing .*model_epoch_002"):
        train(tmp_path, epochs=4, measure=measure, keeping=Keeping(best=0))

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model_best.pth", "model_epoch_001_step_00004.pth", "reid_model_latest.pth",
    ]  # fmt: skip
    assert load_checkpoint(tmp_path / "reid_model_latest.pth").epoch == 1
    assert load_checkpoint(tmp_path / "model_best.pth").epoch == 0


def test_an_epoch_that_was_removed_is_named_with_the_setting_that_keeps_all(tmp_path: Path) -> None:
    train(tmp_path, epochs=3, measure=scored(iter((0.9, 0.1, 0.2))), keeping=Keeping(best=1))

    with pytest.raises(CheckpointError, match=r"epoch 1 .* has epochs 0, 2 .*keep_checkpoints=-1, which keeps all"):
        select_checkpoint(tmp_path, "from_epoch_number", epoch=1)
