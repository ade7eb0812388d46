"""torch.compile while training: the same losses, and a training that goes on where compiling fails."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import torch
import torch._inductor.config as inductor
from torch._dynamo.utils import counters

from reid.devices import Hardware
from tests.model.test_fit import module, train


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_training_equals_an_eager_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    eager, compiled = module(), module()
    before = train(tmp_path / "eager", epochs=2, trained=eager)
    with caplog.at_level(logging.INFO, logger="reid"):
        after = train(tmp_path / "compiled", epochs=2, trained=compiled, compile_backbone="on")

    assert "compiled the backbone in" in caplog.text
    losses = [[record.training["train_loss"] for record in records] for records in (before, after)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert "forward_features" not in vars(compiled.network.backbone)  # left as it was
    statistics = dict(eager.network.backbone.named_buffers())
    for name, buffer in compiled.network.backbone.named_buffers():  # the trial has left no trace in them
        torch.testing.assert_close(buffer, statistics[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_what_is_tried_is_what_the_steps_use_in_mixed_precision_too(tmp_path: Path) -> None:
    torch.compiler.reset()
    counters.clear()

    train(
        tmp_path / "bf16", epochs=1, trained=module(), compile_backbone="on",
        hardware=Hardware(torch.device("cpu"), precision="bf16"),
    )  # fmt: skip

    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
def test_a_training_goes_on_with_one_line_where_compiling_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inductor.cpp, "cxx", (str(tmp_path / "no-compiler"),))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch.compiler.reset()
    eager, failing = module(), module()
    train(tmp_path / "eager", epochs=1, trained=eager)
    with caplog.at_level(logging.WARNING, logger="reid"):
        train(tmp_path / "failing", epochs=1, trained=failing, compile_backbone="on")

    assert caplog.text.count("training without torch.compile, which failed") == 1
    expected = eager.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in failing.network.state_dict().items())
