"""What a checkpoint of recognition hands over to the spec of a later action."""

from __future__ import annotations

from pathlib import Path

import yaml

from reid.actions.evaluate import evaluate
from tests.actions.recognition.conftest import MakeSpec


def test_an_evaluation_keeps_the_block_of_the_embedders_rates_which_has_the_name_of_a_networks_part(
    learnt: Path, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    other = ("train.optim.embedder.base_lr=0.002", "evaluate.report=false", "evaluate.bootstrap=0")
    evaluate(make_recognition("evaluate", tmp_path, f"evaluate.parent_run={learnt}", *other))

    written = yaml.safe_load((tmp_path / "evaluate" / "experiment.yaml").read_text(encoding="utf-8"))
    assert written["train"]["optim"]["embedder"]["base_lr"] == 0.002
    assert written["model"]["feat_dim"] == 16
