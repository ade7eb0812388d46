"""Devices and precisions: what `auto` means, and what is refused."""

from __future__ import annotations

import pytest
import torch

from reid.devices import autocast, choose_device, choose_precision
from reid.errors import SpecError

CPU = torch.device("cpu")


def test_auto_takes_the_best_device_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    assert choose_device("auto").type == expected
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_an_error_that_names_the_alternatives() -> None:
    with pytest.raises(SpecError, match=r"device=cuda.*device=auto or device=cpu"):
        choose_device("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_index_beyond_the_last_is_an_error() -> None:
    with pytest.raises(SpecError, match="GPU 99 was asked for"):
        choose_device("cuda", index=99)


def test_auto_is_fp32_on_a_cpu_and_bf16_may_be_asked_for() -> None:
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(SpecError, match=r"fp16 on a CPU.*bf16 or fp32"):
        choose_precision("fp16", CPU)


def test_autocast_computes_products_in_the_chosen_precision() -> None:
    a = torch.ones(2, 2)
    with autocast(CPU, "bf16"):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(CPU, "fp32"):
        assert (a @ a).dtype == torch.float32
