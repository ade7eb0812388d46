"""Training needs torch, timm, Lightning and pydantic; everything else may be missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.actions.conftest import Places

_NOT_NEEDED = (
    "boto3", "click", "dvc", "fastapi", "matplotlib", "mlflow", "omegaconf", "onnx", "onnxruntime", "onnxscript",
    "pandas", "prefect", "pyarrow", "rich", "tenacity",
)  # fmt: skip

_TRAIN = """
import builtins
original = builtins.__import__
def refuse(name, globals=None, *rest, **more):
    if name.partition(".")[0] in {absent!r} and (globals or {{}}).get("__name__", "").startswith("reid"):
        raise ModuleNotFoundError(name)
    return original(name, globals, *rest, **more)
builtins.__import__ = refuse
from reid.actions.train import train
from reid.spec.re_identification import ReIdentificationSpec
spec = ReIdentificationSpec.model_validate({spec!r})
result = train(spec)
assert result.figures["epochs"] == 1, result
"""


def test_training_needs_torch_timm_lightning_and_pydantic_alone(places: Places, tmp_path: Path) -> None:
    spec = {
        "results_dir": str(tmp_path / "results"),
        "device": "cpu",
        "model": {"backbone": "test_resnet", "pretrain_choice": "", "input_height": 64, "input_width": 32},
        "dataset": {
            "train_dataset_dir": str(places.train),
            "query_dataset_dir": str(places.query),
            "test_dataset_dir": str(places.gallery),
            "cache_dir": str(tmp_path / "cache"),
            "batch_size": 4,
            "num_instances": 2,
        },
        "train": {"num_epochs": 1},
    }

    done = subprocess.run(
        [sys.executable, "-c", _TRAIN.format(absent=_NOT_NEEDED, spec=spec)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/train/model_best.pth").is_file()
