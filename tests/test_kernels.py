"""Compiled functions work where numba finds no folder to keep them in."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
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


def test_compiling_is_told_once_and_only_where_nothing_is_kept(tmp_path: Path) -> None:
    code = (
        "import logging; logging.basicConfig(level='INFO'); import numpy as np; from reid.retrieval import search;"
        "block = np.eye(3, dtype=np.float32); search.nearest(block, [(0, block)], 1); "
        "search.nearest(block.astype(np.float32), [(0, block)], 2, l2_normalise=False)"
    )

    def said() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr

    assert said().count("compiling loops, once for this machine") == 1
    assert "compiling" not in said()
