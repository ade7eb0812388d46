"""Memory that really runs out: the error says a batch size, and that one really fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reid.errors import ReidError
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import names, status
from tests.actions.processes import command, warm_up

LARGE = (
    "model.input_height=512", "model.input_width=256", "dataset.num_instances=2", "train.num_epochs=1",
    "train.precision=fp32",
    "dataset.query_dataset_dir=", "dataset.test_dataset_dir=", "dataset.prob=0", "dataset.re_prob=0",
)  # fmt: skip
LIMIT_MB = 420
"""The libraries take 140 of that with their first step, and each image takes 40."""


@pytest.mark.slow  # trains with 512x256 pixels until it fails, and then until it does not
def test_out_of_memory_says_the_largest_batch_that_fits_and_it_fits(make_spec: MakeSpec, tmp_path: Path) -> None:
    warm_up()
    spec = make_spec("train", tmp_path / "many", *LARGE, "dataset.batch_size=12")
    process = command("train", spec, tmp_path / "many", memory_mb=LIMIT_MB)
    process.join(200)

    said = (tmp_path / "many" / "said.txt").read_text()
    assert process.exitcode == ReidError.exit_code, said
    last = status(tmp_path / "many" / "train")[-1]
    assert last["status"] == "FAILURE"
    assert "out of memory on cpu with dataset.batch_size=12" in last["message"]
    found = re.search(r"set dataset\.batch_size=(\d+)", said)
    assert found, said
    size = int(found[1])
    assert 4 <= size < 12
    assert size % 2 == 0

    spec = make_spec("train", tmp_path / "fewer", *LARGE, f"dataset.batch_size={size}")
    process = command("train", spec, tmp_path / "fewer", memory_mb=LIMIT_MB)
    process.join(200)
    assert process.exitcode == 0, (tmp_path / "fewer" / "said.txt").read_text()
    assert "reid_model_latest.pth" in names(tmp_path / "fewer" / "train")
