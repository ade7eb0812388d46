"""Two processes that share a batch take the step that one process takes with all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.model.one_step import after_one_step

ROOT = Path(__file__).parents[2]


def test_two_processes_have_the_gradients_statistics_and_centers_of_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.model.one_step", str(tmp_path / "meeting"), str(tmp_path / "step.pt")]
    variables = [{**os.environ, "PYTHONPATH": str(ROOT), "RANK": rank, "WORLD_SIZE": "2"} for rank in "01"]
    both = [subprocess.Popen(command, cwd=ROOT, env=one, stderr=subprocess.PIPE, text=True) for one in variables]
    one = after_one_step()
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said

    two = torch.load(tmp_path / "step.pt", weights_only=True)

    assert two.keys() == one.keys()
    assert any("running_var" in name for name in one)
    assert any("centers" in name for name in one)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-9, msg=name)
