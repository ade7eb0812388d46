"""What single keys of recognition do in a training, when it goes on, and before an inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reid.actions.changes import changes
from reid.actions.inference import inference
from reid.actions.recipes.table import recipe_of
from reid.actions.train import train
from reid.errors import SpecError
from reid.model.checkpoint import load_checkpoint
from reid.model.selection import LATEST_OF_CLASSES
from reid.retrieval.embeddings import Embeddings
from tests.actions.recognition.conftest import MakeSpec
from tests.retrieval.scenes import Scene


def test_frozen_batch_norms_end_with_the_statistics_of_the_random_start(
    make_recognition: MakeSpec, tmp_path: Path
) -> None:
    train(make_recognition("train", tmp_path, "train.freeze_batch_norm=true", "train.num_epochs=1"))

    weights = load_checkpoint(tmp_path / "train" / LATEST_OF_CLASSES).weights
    means = [tensor for name, tensor in weights.items() if name.endswith("running_mean")]
    assert means
    assert not any(torch.any(tensor) for tensor in means)


def test_min_crop_area_is_the_least_share_of_an_image_that_is_cut_out(
    make_recognition: MakeSpec, tmp_path: Path
) -> None:
    spec = make_recognition("train", tmp_path, "dataset.min_crop_area=0.9")

    crop = recipe_of(spec).training().augmentation(spec).resized_crop

    assert crop is not None
    boxes = crop.draw(200, 73, 73, torch.Generator().manual_seed(0))
    shares = boxes[:, 2] * boxes[:, 3] / 73**2
    assert 0.88 < float(shares.min()) < 0.95  # sides are whole pixels


def test_how_validation_averages_may_change_when_a_training_goes_on(
    learnt: Path, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(learnt / "train" / LATEST_OF_CLASSES)
    then = checkpoint.provenance
    fingerprints = {"train": then["train_fingerprint"], **then["validation_fingerprints"]}
    spec = make_recognition("train", tmp_path, "train.report_accuracy_per_class=false")

    assert changes(spec, checkpoint, fingerprints, strict=True) == []


def test_a_missing_file_of_references_is_told_before_a_checkpoint_is_read(
    make_recognition: MakeSpec, tmp_path: Path
) -> None:
    settings = ("inference.gallery=absent.parquet", "inference.checkpoint=absent.pth", "inference.input_path=a.jpg")

    with pytest.raises(SpecError, match=r"inference\.gallery=absent\.parquet: there is no such file.*reid enroll"):
        inference(make_recognition("inference", tmp_path, *settings))


@pytest.mark.parametrize("told", [True, False])
def test_a_validation_logs_the_weakest_classes_where_classes_are_reported(
    told: bool, make_recognition: MakeSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = make_recognition("train", tmp_path, f"train.report_accuracy_per_class={told}")
    places = np.eye(2, dtype=np.float32)
    query = Embeddings(places, np.array([1, 1]), np.zeros(2, np.int64))
    gallery = Embeddings(places, np.array([1, 2]), np.zeros(2, np.int64))
    ranking = Scene(query, gallery).rank(exclude="none")

    with caplog.at_level("INFO", "reid.actions.recipes.recognition"):
        recipe_of(spec).figures(spec, ranking, query, gallery, {1: "fig", 2: "plum"})

    line = "classes with the lowest precision at rank 1: fig 50.0% (taken for plum)"
    assert [record.getMessage() for record in caplog.records] == ([line] if told else [])
