"""Reading what an action wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch

TIMES = {"seconds", "images_per_s"}


def rows(train_folder: Path) -> list[dict[str, str]]:
    """metrics.csv without the columns that say how long it took."""
    with (train_folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def status(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "status.json").read_text(encoding="utf-8").splitlines()]


def latest_weights(train_folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(train_folder / "reid_model_latest.pth", weights_only=True)[
        "state_dict"
    ]
    return weights


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
