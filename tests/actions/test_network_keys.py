"""Keys of heads and vision transformers, from the spec to the network that is trained, evaluated and exported."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid.actions.embedded_images import EvaluationImages
from reid.actions.inference import inference
from reid.actions.recipes.person_training import PersonTraining
from reid.actions.train import train
from reid.data.augment import to_network_input
from reid.data.images import Preprocess
from reid.data.readers import read_market1501
from reid.data.side import Side
from reid.errors import CheckpointError, DataError
from reid.model.checkpoint import load_checkpoint
from reid.model.margins import MarginHead
from reid.model.network import ReidNetwork
from tests.actions.conftest import MakeSpec, Places, draw

VIT = (
    "model.backbone=test_vit", "model.sie_camera=true", "model.jpm=true", "model.devide_length=2",
    "model.stride_size=[12,12]", "model.id_loss_type=arcface", "train.optim.cosine_margin=0.3", "train.num_epochs=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def vit(make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of a training of a vision transformer with all of TransReID, on cameras 1 and 2."""
    results = tmp_path_factory.mktemp("vit")
    train(make_spec("train", results, *VIT))
    return results


@pytest.mark.parametrize("kind", ["arcface", "cosface", "amsoftmax", "circle"])
def test_margin_and_scale_of_the_spec_reach_the_head(kind: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    def loss(*overrides: str) -> float:
        spec = make_spec("train", tmp_path, f"model.id_loss_type={kind}", *overrides)
        torch.manual_seed(0)
        head = ReidNetwork(PersonTraining().network(spec, num_classes=3)).classifier
        assert isinstance(head, MarginHead)
        x = torch.randn(6, 32, generator=torch.Generator().manual_seed(1))
        return head.loss(x, torch.arange(6) % 3, label_smoothing=0.0).item()

    default = loss()
    assert loss("train.optim.cosine_margin=0.5", "train.optim.cosine_scale=30") == default
    assert loss("train.optim.cosine_margin=0.1") != pytest.approx(default, rel=0.05)
    assert loss("train.optim.cosine_scale=10") < default


@pytest.mark.parametrize(
    ("override", "attribute"),
    [
        ("model.stride_size=[12,8]", "stride_size"),
        ("model.sie_coe=1.5", "sie_coe"),
        ("model.jpm=true", "jpm"),
        ("model.shift_num=3", "shift_num"),
        ("model.shuffle_group=4", "shuffle_group"),
        ("model.devide_length=2", "devide_length"),
        ("model.re_arrange=false", "re_arrange"),
        ("model.sie_camera=true", "sie_camera"),
        ("model.sie_view=true", "sie_view"),
    ],
)
def test_each_key_of_a_vision_transformer_changes_the_network_and_nothing_else(
    override: str, attribute: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    plain = PersonTraining().network(make_spec("train", tmp_path), num_classes=3)

    changed = PersonTraining().network(make_spec("train", tmp_path, override), num_classes=3)

    assert getattr(changed, attribute) == yaml_value(override)
    assert dataclasses.replace(changed, **{attribute: getattr(plain, attribute)}) == plain


def yaml_value(override: str) -> Any:
    value = json.loads(override.partition("=")[2])
    return tuple(value) if isinstance(value, list) else value


def test_a_circle_loss_says_that_its_labels_are_not_smoothed(make_spec: MakeSpec, tmp_path: Path) -> None:
    from reid.spec.load import load_spec

    places = [f"results_dir={tmp_path}", "dataset.train_dataset_dir=/nowhere"]

    def warnings(*overrides: str) -> str:
        return " ".join(load_spec("train", None, [*places, *overrides]).report.warnings)

    assert "model.label_smooth is true and model.id_loss_type is circle" in warnings(
        "model.id_loss_type=circle", "model.label_smooth=true"
    )
    assert "label_smooth" not in warnings("model.id_loss_type=circle")
    assert "label_smooth" not in warnings("model.id_loss_type=circle", "model.label_smooth=false")
    assert "label_smooth" not in warnings("model.id_loss_type=arcface")


def test_a_checkpoint_says_which_cameras_its_embeddings_are_of(vit: Path) -> None:
    checkpoint = load_checkpoint(vit / "train" / "model_best.pth")

    assert checkpoint.network.cameras == (1, 2)
    assert checkpoint.network.views == ()
    assert checkpoint.weights["side.table"].shape == (2, 1, 64)
    assert checkpoint.weights["classifier.weight"].shape == (6, 32)
    assert checkpoint.weights["parts.1.classifier.weight"].shape == (6, 32)


def test_evaluation_and_inference_look_up_the_camera_of_each_image(
    vit: Path, places: Places, make_spec: MakeSpec, tmp_path: Path
) -> None:
    chosen = f"checkpoint={vit}/train/model_best.pth"
    images = EvaluationImages.open(make_spec("evaluate", tmp_path, VIT[0], f"evaluate.{chosen}"))
    embedded = images.embed()
    assert embedded is not None
    inference(make_spec("inference", tmp_path, VIT[0], f"inference.{chosen}"))
    written = {
        Path(entry["img_path"]).name: entry["embedding"]
        for entry in json.loads((tmp_path / "inference" / "inference.json").read_text())
    }
    network, dataset = images.checkpoint.build_network(), images.spec.dataset
    preprocess = Preprocess.from_dict(images.checkpoint.preprocess)

    def expected(path: Path, camera: int) -> Any:
        pixels = torch.tensor(preprocess.load(path)[None])
        side = Side(torch.tensor([camera]), torch.tensor([-1]))
        with torch.inference_mode():
            return network(to_network_input(pixels, mean=dataset.pixel_mean, std=dataset.pixel_std), side)[0].numpy()

    records = images.subsets["gallery"].records
    assert {record.camid for record in records} == {1, 2, 3, 4}
    for record, vector in zip(records, embedded.gallery.vectors, strict=True):
        wanted = expected(record.path, {1: 0, 2: 1}.get(record.camid, -1))  # 3 and 4 were not in the training
        assert wanted.shape == (3 * 32,)
        assert np.allclose(vector, wanted, atol=1e-4)
        assert np.allclose(written[record.path.name], wanted, atol=1e-4)
    for name, camera in (("-1_c2s1_000003_00.jpg", 1), ("stranger.jpg", -1)):  # inference embeds these as well
        assert np.allclose(written[name], expected(places.gallery / name, camera), atol=1e-4)
    first = records[0].path
    assert not np.allclose(expected(first, 0), expected(first, 1), atol=1e-3)


def test_the_filled_spec_of_an_action_has_the_networks_keys_in_their_sections(
    vit: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    chosen = make_spec("evaluate", tmp_path, f"evaluate.checkpoint={vit}/train/model_best.pth")
    bare = chosen.model_copy(update={"model": type(chosen.model)()})  # no key of the model is set

    filled = EvaluationImages.open(bare).spec

    assert filled.model.jpm
    assert filled.model.stride_size == (12, 12)
    assert filled.train.optim.cosine_margin == 0.3
    assert set(filled.model.__dict__) == set(type(filled.model).model_fields)


def test_a_jigsaw_checkpoint_is_no_network_without_one(vit: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(
        "evaluate", tmp_path, "model.backbone=test_vit", "model.jpm=false",
        f"evaluate.checkpoint={vit}/train/model_best.pth",
    )  # fmt: skip

    with pytest.raises(CheckpointError, match=r"model\.jpm is False in the spec and True in the checkpoint"):
        EvaluationImages.open(spec)


def test_views_are_asked_for_where_no_name_has_one(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec("train", tmp_path, "model.backbone=test_vit", "model.sie_view=true")

    with pytest.raises(DataError, match=r"model\.sie_view=true, and none of the 43 training images .* has a view"):
        train(spec)

    assert not list((tmp_path / "train").glob("*.pth"))


def test_views_of_the_names_get_embeddings(make_spec: MakeSpec, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, view in enumerate((1, 3, 3, 1)):
        draw(folder / f"{1 + number // 2:04d}_c{number + 1}v{view}_{number:03d}.jpg", number // 2, number)
    shutil.copy(folder / "0001_c1v1_000.jpg", folder / "0001_c1_009.jpg")  # a name without a view
    spec = make_spec("train", tmp_path, "model.backbone=test_vit", "model.sie_view=true")
    train_set = read_market1501(folder, name="train")

    settings = PersonTraining().network_for(spec, train_set)

    assert (settings.cameras, settings.views) == ((), (1, 3))
    side = ReidNetwork(settings).side_of(train_set.records)
    assert side is not None
    views = dict(zip((record.path.name for record in train_set.records), side.view.tolist(), strict=True))
    assert views["0001_c2v3_001.jpg"] == views["0002_c3v3_002.jpg"] == 1
    assert views["0002_c4v1_003.jpg"] == 0
    assert views["0001_c1_009.jpg"] == -1


def test_one_camera_alone_is_said_to_tell_nothing(
    make_spec: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw(tmp_path / "0001_c7_001.jpg", 1, 1)
    spec = make_spec("train", tmp_path, "model.backbone=test_vit", "model.sie_camera=true")

    with caplog.at_level(logging.WARNING):
        settings = PersonTraining().network_for(spec, read_market1501(tmp_path, name="train"))

    assert settings.cameras == (7,)
    assert "all training images are of one camera" in caplog.text
