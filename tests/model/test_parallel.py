"""Several processes look for parameters without a gradient only where there are some."""

from __future__ import annotations

import pytest
import torch

from reid.devices import Hardware
from reid.model.batch_norm import AcrossProcesses
from reid.model.parallel import prepare_ddp
from tests.model.test_fit import module


@pytest.mark.parametrize(
    ("id_loss", "freezes", "search"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_the_search_is_on_when_the_head_or_a_frozen_backbone_gets_no_gradient(
    id_loss: bool, freezes: bool, search: bool
) -> None:
    trained = module()
    trained.criterion.use_id, trained.criterion.use_triplet = id_loss, True
    names = [name for name, _ in trained.network.named_parameters()]

    strategy = prepare_ddp(trained, hardware=Hardware(torch.device("cpu"), processes=2), freezes=freezes)

    assert strategy._ddp_kwargs["find_unused_parameters"] is search
    assert isinstance(trained.network.neck, AcrossProcesses)
    assert [name for name, _ in trained.network.named_parameters()] == names
