"""Compiled functions work where numba finds no folder to keep them in."""

from __future__ import annotations

import logging
from types import FunctionType

import pytest

from reid.kernels import kernel


def twice(x: float) -> float:
    return 2 * x


def test_a_function_that_cannot_be_kept_on_disk_is_compiled_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = twice.__code__.replace(co_filename="/nowhere/at/all.py")  # as in a package that cannot be written
    with caplog.at_level(logging.INFO):
        compiled = kernel()(FunctionType(nowhere, globals(), "twice"))

    assert compiled(21.0) == 42.0
    assert "compiling twice anew in each process" in caplog.text


def test_a_function_that_can_be_kept_is() -> None:
    compiled = kernel()(twice)
    assert compiled(4.0) == 8.0
    assert compiled.stats.cache_path  # type: ignore[attr-defined]
