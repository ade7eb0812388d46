"""A whole small training on a GPU: mixed precision with scaled gradients, fused optimisers, and compiled networks."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
import torch

from reid.devices import Hardware, Precision
from reid.model.compilation import CompileChoice
from tests.model.fitting import content, module, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

GPU = torch.device("cuda", 0)
LAST = "model_epoch_002_*.pth"


def losses(folder: Path, hardware: Hardware, compiled: CompileChoice = "off") -> list[float]:
    records = train(folder, epochs=3, trained=module(), hardware=hardware, compile_backbone=compiled)
    return [record.training["train_loss"] for record in records]


def test_a_gpu_in_float32_trains_to_the_losses_of_a_cpu(tmp_path: Path) -> None:
    on_cpu, on_gpu = (losses(tmp_path / device.type, Hardware(device)) for device in (torch.device("cpu"), GPU))

    assert on_gpu == pytest.approx(on_cpu, rel=0.02)


@pytest.mark.parametrize("grad_clip", [0.0, 1.0])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_steps_in_half_precision_move_float32_weights_by_a_fused_optimiser(
    precision: Precision, grad_clip: float, tmp_path: Path
) -> None:
    trained = module(optimizer="Adam", base_lr=0.001)
    before = {name: tensor.clone() for name, tensor in trained.network.named_parameters() if tensor.requires_grad}

    records = train(
        tmp_path, epochs=3, trained=trained, grad_clip=grad_clip, hardware=Hardware(GPU, precision=precision)
    )

    assert all(math.isfinite(record.training["train_loss"]) for record in records)
    stored = content(tmp_path, LAST)
    weights = {name: stored["state_dict"][f"network.{name}"].cpu() for name in before}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    assert not any(torch.equal(weights[name], before[name]) for name in before)
    fused = {group.get("fused") for group in stored["optimizer_states"][0]["param_groups"]}
    # a fused optimiser unscales fp16's gradients itself, when their norm should have been limited already
    assert fused == ({None} if precision == "fp16" and grad_clip else {True})
    assert ("MixedPrecision" in stored) is (precision == "fp16")  # the scale of the gradients, for a resume


@pytest.mark.slow  # the compiler takes a minute or two
@pytest.mark.parametrize("choice", ["on", "cuda_graphs"])
def test_a_compiled_training_on_a_gpu_equals_an_eager_one(
    choice: CompileChoice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eager = losses(tmp_path / "eager", Hardware(GPU))
    with caplog.at_level(logging.INFO, logger="reid"):
        compiled = losses(tmp_path / "compiled", Hardware(GPU), choice)

    assert "compiled the backbone in" in caplog.text
    assert compiled == pytest.approx(eager, rel=0.02)
