"""Reading what an action wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch

from reid import __version__
from reid.model.encryption import decrypt
from reid.tracking.provenance import code_revision
from tests.actions.conftest import TRAIN_COUNTS

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


def require_whole_description(path: Path, *, key: str = "") -> None:
    """Fails unless torch opens the file without running code and finds what tells of its training.

    Args:
        path: a checkpoint of a training on the shared pictures.
        key: passphrase of an encrypted one.
    """
    content = torch.load(decrypt(path, key) if key else path, weights_only=True)
    block = content["reid"]
    assert block["spec"]["model"]["backbone"] == "test_resnet", path
    assert block["pids"] == sorted(TRAIN_COUNTS), path
    provenance = block["provenance"]
    assert provenance["train_images"] == sum(TRAIN_COUNTS.values()), path
    assert (provenance["train_identities"], provenance["train_cameras"]) == (len(TRAIN_COUNTS), [1, 2]), path
    whole_epochs = len(block["history"])
    assert block["epoch"] <= whole_epochs <= block["epoch"] + 1, path  # one of a step may lie inside its epoch
    assert [row["epoch"] for row in block["history"]] == list(range(whole_epochs)), path
    assert all("train_loss" in row and "mAP" in row for row in block["history"]), path
    code = code_revision()
    assert provenance["version"] == __version__, path
    assert provenance.get("revision") == (code.commit if code else None), path
