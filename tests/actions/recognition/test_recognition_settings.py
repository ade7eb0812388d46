"""What each key of ml_recog's training means to the parts below, and what it does there by the smallest example."""

from __future__ import annotations

import math
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from reid.actions.recipes.recognition_training import RecognitionTraining
from reid.data.augment import Augmentation
from reid.errors import CheckpointError, SpecError
from reid.model.losses import Branch
from reid.model.network import ReidNetwork
from reid.spec.load import load_spec
from reid.spec.ml_recog import MlRecogSpec

RECIPE = RecognitionTraining()
TINY = ("model.backbone=test_resnet", "model.input_height=32", "model.input_width=32", "model.feat_dim=4")
BATCH = "train.batch_size=8"


def spec_of(*overrides: str) -> MlRecogSpec:
    spec = load_spec("train", None, [BATCH, *overrides], family="ml_recog").spec
    assert isinstance(spec, MlRecogSpec)
    return spec


def at(value: object, path: str) -> Any:
    return reduce(getattr, path.split("."), value)


@pytest.mark.parametrize(
    ("part", "override", "path", "expected"),
    [
        ("network", "model.backbone=resnet_101", "backbone", "resnet_101"),
        ("network", "model.feat_dim=64", "feat_dim", 64),
        ("network", "model.input_height=96", "input_height", 96),
        ("network", "model.input_width=64", "input_width", 64),
        ("network", "model.backbone=nvdinov2_vit_large_legacy", "embedder", "residual"),
        ("network", "model.backbone=resnet_50", "embedder", "linear"),
        ("preprocess", "model.input_height=96", "height", 96),
        ("preprocess", "model.input_width=64", "width", 64),
        ("preprocess", "dataset.pixel_mean=[0.1,0.2,0.3]", "mean", (0.1, 0.2, 0.3)),
        ("preprocess", "dataset.pixel_std=[0.1,0.2,0.3]", "std", (0.1, 0.2, 0.3)),
        ("preprocess", "model.backbone=resnet_50", "resize", 1.14),
        ("preprocess", "model.backbone=resnet_50", "interpolation", "bilinear"),
        ("augmentation", "dataset.prob=0.25", "flip_prob", 0.25),
        ("augmentation", "dataset.re_prob=0.75", "erase_prob", 0.75),
        ("augmentation", "dataset.random_rotation=true", "rotation", 180.0),
        ("augmentation", "dataset.random_rotation=false", "rotation", 0.0),
        ("augmentation", "dataset.gaussian_blur.kernel=[5,3]", "blur.kernel", (5, 3)),
        ("augmentation", "dataset.gaussian_blur.sigma=[0.5,2]", "blur.sigma", (0.5, 2.0)),
        ("augmentation", "dataset.gaussian_blur.enabled=false", "blur", None),
        ("augmentation", "dataset.color_augmentation.brightness=0.9", "colour.brightness", 0.9),
        ("augmentation", "dataset.color_augmentation.contrast=0.8", "colour.contrast", 0.8),
        ("augmentation", "dataset.color_augmentation.saturation=0.7", "colour.saturation", 0.7),
        ("augmentation", "dataset.color_augmentation.hue=0.2", "colour.hue", 0.2),
        ("augmentation", "dataset.color_augmentation.enabled=false", "colour", None),
        ("augmentation", "dataset.pixel_mean=[0.1,0.2,0.3]", "mean", (0.1, 0.2, 0.3)),
        ("augmentation", "model.input_height=96", "resized_crop.height", 96),
        ("schedule", "train.optim.steps=[3,5]", "milestones", (3, 5)),
        ("schedule", "train.optim.gamma=0.5", "gamma", 0.5),
        ("schedule", "train.optim.warmup_factor=0.2", "warmup_factor", 0.2),
        ("schedule", "train.optim.warmup_iters=7", "warmup_iters", 7),
        ("schedule", "train.optim.warmup_method=constant", "method", "constant"),
        ("schedule", "train.num_epochs=33", "num_epochs", 33),
    ],
)
def test_a_key_is_a_setting_of_the_part_that_it_is_about(part: str, override: str, path: str, expected: object) -> None:
    spec = spec_of(override)
    built: dict[str, Any] = {
        "network": RECIPE.network(spec, num_classes=2),
        "preprocess": RECIPE.preprocess(spec),
        "augmentation": RECIPE.augmentation(spec),
        "schedule": RECIPE.schedule(spec),
    }
    assert at(built[part], path) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"batch_size": "train.batch_size=24"}, 24),
        ({"val_batch_size": "train.val_batch_size=9"}, 9),
        ({"num_instances": "dataset.num_instance=2"}, 2),
        ({"workers": "dataset.workers=3"}, 3),
        ({"grad_clip": "train.clip_grad_norm=1.5"}, 1.5),
    ],
)
def test_keys_that_actions_read_by_a_common_name(names: dict[str, str], expected: float) -> None:
    ((name, override),) = names.items()
    assert getattr(spec_of(override), name) == expected


def test_the_batch_is_that_of_all_processes_as_tao_counts_each_by_itself() -> None:
    spec = spec_of("train.batch_size=12", "train.num_gpus=2", "train.gpu_ids=[0,1]")
    assert (spec.batch_size, spec.batch_share) == (24, 2)


@pytest.mark.parametrize("part", ["trunk", "embedder"])
@pytest.mark.parametrize(
    ("key", "value", "of"),
    [
        ("base_lr", 0.01, {"weight": ("lr", 0.01), "bias": ("lr", 0.01)}),
        ("bias_lr_factor", 3, {"weight": ("lr", 0.00035), "bias": ("lr", 3 * 0.00035)}),
        ("weight_decay", 0.1, {"weight": ("weight_decay", 0.1), "bias": ("weight_decay", 0.0005)}),
        ("weight_decay_bias", 0.2, {"weight": ("weight_decay", 0.0005), "bias": ("weight_decay", 0.2)}),
        ("momentum", 0.5, {"weight": ("momentum", 0.5), "bias": ("momentum", 0.5)}),
    ],
)
def test_a_key_of_one_part_moves_that_part_alone(
    part: str, key: str, value: float, of: dict[str, tuple[str, float]]
) -> None:
    plain, changed = (groups(*given) for given in ((), (f"train.optim.{part}.{key}={value}",)))

    other = {"trunk": "embedder", "embedder": "trunk"}[part]
    assert changed[other] == plain[other]
    for kind, (name, expected) in of.items():
        assert changed[part][kind][name] == pytest.approx(expected)


def groups(*overrides: str) -> dict[str, dict[str, dict[str, float]]]:
    """Of each part, the settings of a weight and of a bias."""
    spec = spec_of(*TINY, *overrides)
    network = ReidNetwork(RECIPE.network(spec, num_classes=2))
    found: dict[str, dict[str, dict[str, float]]] = {"trunk": {}, "embedder": {}}
    owner = {id(p): name for name, p in network.named_parameters()}
    for group in RECIPE.groups(spec, network):
        for parameter in group["params"]:
            kind = owner[id(parameter)].rpartition(".")[2]
            settings = {name: group[name] for name in ("lr", "weight_decay", "momentum")}
            assert found[group["part"]].setdefault(kind, settings) == settings
    return found


@pytest.mark.parametrize(("part", "other"), [("trunk", "embedder"), ("embedder", "trunk")])
def test_a_part_that_is_not_trained_has_no_group_and_no_rate(part: str, other: str) -> None:
    spec = spec_of(*TINY, f"train.train_{part}=false")
    network = ReidNetwork(RECIPE.network(spec, num_classes=2))
    assert {group["part"] for group in RECIPE.groups(spec, network)} == {other}
    assert RECIPE.part_lrs(spec) == {part: 0.0, other: 0.00035}


def triplet_loss(*overrides: str) -> float:
    """Of three unit vectors in a plane: a and b of one class, c of another."""
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    labels = torch.tensor([0, 0, 1])
    criterion = RECIPE.criterion(spec_of(*overrides), num_classes=2, dim=2, seed=0)
    return float(criterion([Branch(vectors, vectors, None)], labels).total)


def expected(margin: float, *, smooth: bool) -> float:
    """Both positives have cosine 0.6, the negatives 0.8 (a, c) and 0.96 (b, c); so all pairs are mined."""
    distances = {"ab": math.sqrt(0.8), "ac": math.sqrt(0.4), "bc": math.sqrt(0.08)}
    gaps = [distances["ab"] - distances["ac"] + margin, distances["ab"] - distances["bc"] + margin]
    losses = [math.log1p(math.exp(gap)) if smooth else max(0.0, gap) for gap in gaps]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("margin", [0.3, 0.9])
@pytest.mark.parametrize("smooth", [True, False])
def test_margin_and_smoothness_of_the_loss_by_hand(margin: float, smooth: bool) -> None:
    told = (f"train.optim.triplet_loss_margin={margin}", f"train.smooth_loss={str(smooth).lower()}")
    assert triplet_loss(*told) == pytest.approx(expected(margin, smooth=smooth), rel=1e-5)


def test_the_miners_margin_decides_how_easy_a_pair_may_be() -> None:
    """Positive at cosine 0.6, negative at 0.5: an easy pair, which counts within a margin of 0.1 or more alone."""
    a, b = (1.0, 0.0), (0.6, 0.8)
    c = (0.5, -math.sqrt(0.75))
    vectors, labels = torch.tensor([a, b, c]), torch.tensor([0, 0, 1])

    def loss(margin: float) -> float:
        told = spec_of(f"train.optim.miner_function_margin={margin}", "train.smooth_loss=false")
        criterion = RECIPE.criterion(told, num_classes=2, dim=2, seed=0)
        return float(criterion([Branch(vectors, vectors, None)], labels).total)

    assert loss(0.05) == 0.0
    gap = math.sqrt(0.8) - math.sqrt(1.0) + 0.3  # of the anchor a; those of b are too easy
    assert loss(0.15) == pytest.approx(gap, rel=1e-5)


def changed(images: Tensor, *overrides: str) -> Tensor:
    """A batch after an augmentation of which all else is off."""
    off = (
        "dataset.prob=0", "dataset.re_prob=0", "dataset.color_augmentation.enabled=false",
        "dataset.gaussian_blur.enabled=false", "dataset.pixel_mean=[0,0,0]", "dataset.pixel_std=[1,1,1]", *TINY,
    )  # fmt: skip
    augmentation: Augmentation = RECIPE.augmentation(spec_of(*off, *overrides))
    generator = torch.Generator().manual_seed(0)
    return augmentation(images, generator)


def picture() -> Tensor:
    """uint8 [1, 36, 36, 3]: a bright square in the dark, off the middle."""
    image = torch.full((1, 36, 36, 3), 20, dtype=torch.uint8)
    image[:, 4:16, 4:16] = 200
    return image


@pytest.mark.parametrize(
    "override",
    [
        "dataset.prob=1", "dataset.re_prob=1", "dataset.random_rotation=true", "dataset.gaussian_blur.enabled=true",
        "dataset.color_augmentation.enabled=true",
    ],
)  # fmt: skip
def test_each_augmentation_changes_a_picture_by_itself(override: str) -> None:
    plain = changed(picture())
    assert plain.shape == (1, 3, 32, 32)
    assert (changed(picture(), override) - plain).abs().max() > 0.001


def test_weights_of_parts_are_read_and_told(learnt: Path, make_recognition: Any) -> None:
    """pretrained_trunk_path and pretrained_embedder_path, of a checkpoint of ours."""
    file = learnt / "train" / "model_best.pth"
    spec = make_recognition(
        "train", learnt, f"model.pretrained_trunk_path={file}", f"model.pretrained_embedder_path={file}"
    )
    network = ReidNetwork(RECIPE.network(spec, num_classes=2))
    told = RECIPE.initial_weights(spec, network, cache_dir=learnt)
    assert list(told) == ["trunk", "embedder"]
    assert told["embedder"]["loaded"] == told["embedder"]["embedder_tensors"] == 2
    assert told["trunk"]["loaded"] == told["trunk"]["backbone_tensors"]


@pytest.mark.parametrize("part", ["trunk", "embedder", "model"])
def test_a_missing_file_of_weights_is_told_by_its_own_key(part: str, tmp_path: Path) -> None:
    spec = spec_of(f"model.pretrained_{part}_path=absent.pth", "model.backbone=test_resnet")
    network = ReidNetwork(RECIPE.network(spec, num_classes=2))

    with pytest.raises(SpecError, match=rf"model\.pretrained_{part}_path=absent\.pth: there is no such file"):
        RECIPE.initial_weights(spec, network, cache_dir=tmp_path)


@pytest.mark.parametrize("part", ["trunk", "model"])
def test_a_file_that_fills_the_trunk_needs_no_weights_of_imagenet(part: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").touch()
    place = f"model.pretrained_{part}_path={tmp_path}/weights.pth"

    RECIPE.require_possible(spec_of("model.backbone=osnet_x0_25", "model.pretrain_choice=imagenet", place), fresh=True)


def test_a_file_of_an_embedder_leaves_the_trunk_to_imagenet_which_is_judged_before_any_image(tmp_path: Path) -> None:
    (tmp_path / "embedder.pth").touch()
    embedder = f"model.pretrained_embedder_path={tmp_path}/embedder.pth"

    unknown = spec_of("model.backbone=osnet_x0_25", "model.pretrain_choice=imagenet", embedder)
    with pytest.raises(CheckpointError, match=r"timm, whose weights that means, has none"):
        RECIPE.require_possible(unknown, fresh=True)
    unnamed = spec_of("model.backbone=test_resnet", "model.pretrain_choice=self", embedder)
    with pytest.raises(SpecError, match=r"model\.pretrained_trunk_path and model\.pretrained_model_path are not set"):
        RECIPE.require_possible(unnamed, fresh=True)
