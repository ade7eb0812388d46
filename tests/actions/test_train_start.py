"""What a training starts from, and what its checkpoints say of their origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.actions.train import train
from reid.errors import SpecError
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import names


def test_own_weights_without_a_file_are_refused_not_replaced_by_random_ones(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"pretrain_choice=self.*pretrained_model_path=FILE.*pretrain_choice=\"\""):
        train(make_spec("train", tmp_path, "model.pretrain_choice=self"))

    assert not [name for name in names(tmp_path / "train") if name.endswith(".pth")]
