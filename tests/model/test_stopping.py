"""Early stopping: after which validation a training ends, and that it stays ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reid.model.checkpoint import load_checkpoint
from tests.model.fitting import Measure, names, train


def scores(*values: tuple[float, float]) -> Measure:
    """Gives these (rank-1, mAP) one after the other."""
    left = iter(values)

    def measure(module: Any) -> dict[str, float]:
        rank_1, mean_ap = next(left)
        return {"cmc_rank_1": rank_1, "mAP": mean_ap}

    return measure


def epochs_of(*values: tuple[float, float], patience: int, folder: Path, **changes: Any) -> list[int]:
    records = train(folder, epochs=len(values), measure=scores(*values), early_stopping=patience, **changes)
    return [record.epoch for record in records]


@pytest.mark.parametrize(
    ("patience", "values", "last"),
    [
        (1, [(0.5, 0.3), (0.5, 0.3), (0.9, 0.9)], 1),  # an equal score is no better
        (1, [(0.5, 0.3), (0.5, 0.4), (0.4, 0.9)], 2),  # mAP decides between equal rank-1, and only then
        (2, [(0.5, 0.3), (0.4, 0.3), (0.6, 0.3), (0.5, 0.3), (0.5, 0.3), (0.9, 0.9)], 4),  # a better one counts anew
        (0, [(0.5, 0.3), (0.4, 0.3), (0.3, 0.3)], 2),
    ],
)
def test_it_stops_after_so_many_validations_without_a_better_one(
    patience: int, values: list[tuple[float, float]], last: int, tmp_path: Path
) -> None:
    assert epochs_of(*values, patience=patience, folder=tmp_path) == list(range(last + 1))


def test_it_leaves_a_checkpoint_of_the_last_epoch_whatever_the_interval(tmp_path: Path) -> None:
    epochs_of((0.5, 0.3), (0.4, 0.3), (0.3, 0.3), patience=1, folder=tmp_path, checkpoint_interval=3)

    assert names(tmp_path) == ["model_best.pth", "model_epoch_001_step_00004.pth", "reid_model_latest.pth"]
    assert load_checkpoint(tmp_path / "model_best.pth").epoch == 0


def test_only_validations_are_counted_not_epochs(tmp_path: Path) -> None:
    records = train(tmp_path, epochs=8, measure=scores((0.5, 0.3), (0.4, 0.3)), early_stopping=1, validation_interval=2)

    assert [record.epoch for record in records] == [0, 1, 2, 3]


@pytest.mark.parametrize("patience", [2, 0], ids=["asked for before", "not asked for before"])
def test_the_count_survives_a_resume_whether_or_not_early_stopping_was_asked_for(patience: int, tmp_path: Path) -> None:
    epochs_of((0.5, 0.3), (0.4, 0.3), patience=patience, folder=tmp_path)

    more = train(
        tmp_path, epochs=9, measure=scores((0.4, 0.3)), early_stopping=2,
        resume_from=tmp_path / "model_epoch_001_step_00004.pth",
    )  # fmt: skip

    assert [record.epoch for record in more] == [2]


def test_a_training_that_has_stopped_does_not_go_on_unless_it_is_given_more_patience(tmp_path: Path) -> None:
    epochs_of((0.5, 0.3), (0.4, 0.3), (0.3, 0.3), patience=1, folder=tmp_path)
    again = {"epochs": 3, "resume_from": tmp_path / "model_epoch_001_step_00004.pth", "measure": scores((0.9, 0.9))}
    before = names(tmp_path)

    assert train(tmp_path, early_stopping=1, **again) == []
    assert names(tmp_path) == before

    assert [record.epoch for record in train(tmp_path, early_stopping=2, **again)] == [2]
