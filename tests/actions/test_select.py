"""`select`: a copy of exactly the checkpoint that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reid.actions.select import select
from reid.errors import CheckpointError
from reid.files import sha256_of
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import rows, status


@pytest.mark.parametrize(
    ("overrides", "pattern"),
    [
        (("select.method=best_model",), "model_best.pth"),
        (("select.method=latest_model",), "model_epoch_002_*.pth"),
        (("select.method=from_epoch_number", "select.epoch_number=1"), "model_epoch_001_*.pth"),
    ],
)
def test_the_selected_file_is_the_one_asked_for_byte_by_byte(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, overrides: tuple[str, ...], pattern: str
) -> None:
    (wanted,) = (trained / "train").glob(pattern)

    result = select(make_spec("select", tmp_path, f"select.run={trained}", *overrides))

    written = json.loads((tmp_path / "select" / "selection.json").read_text())
    assert sha256_of(tmp_path / "select" / "model_selected.pth") == sha256_of(wanted) == written["sha256"]
    assert written["checkpoint"] == wanted.name
    row = rows(trained / "train")[int(written["epoch"])]
    assert (written["step"], written["mAP"]) == (int(row["step"]), float(row["mAP"]))
    assert result.figures["mAP"] == written["mAP"]


def test_an_epoch_that_is_not_there_is_an_error_and_nothing_is_selected(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    asked = ("select.method=from_epoch_number", "select.epoch_number=7", f"select.run={trained}")

    with pytest.raises(CheckpointError, match=r"no checkpoint of epoch 7 .* has epochs 0, 1, 2"):
        select(make_spec("select", tmp_path, *asked))

    assert not (tmp_path / "select" / "model_selected.pth").exists()
    assert status(tmp_path / "select")[-1]["status"] == "FAILURE"


def test_selecting_before_training_says_where_it_looked(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"there is no folder {tmp_path}/train"):
        select(make_spec("select", tmp_path))
