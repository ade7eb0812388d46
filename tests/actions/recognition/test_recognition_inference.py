"""`inference` and `export` of classes: answers for one image, a folder and class folders, and new classes at once."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest

from reid.actions.enroll import enroll
from reid.actions.export import export
from reid.actions.inference import inference
from reid.actions.result import ActionResult
from reid.data.images import Preprocess, normalise
from reid.errors import CheckpointError, DataError, SpecError
from reid.model.checkpoint import load_checkpoint
from reid.retrieval.recognised import NONE_OF_THESE
from tests.actions.helpers import status
from tests.actions.recognition.conftest import KNOWN, UNKNOWN, MakeSpec, Places, draw_blob

Answers = dict[str, tuple[list[str], list[float]]]
Told = tuple[ActionResult, Answers]
Ask = Callable[..., Told]


def answers(path: Path) -> Answers:
    """Names and distances of each image, by class folder and name."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            "/".join(Path(image).parts[-2:]): (ast.literal_eval(labels), ast.literal_eval(far))
            for image, labels, far in csv.reader(file)
        }


@pytest.fixture(scope="module")
def ask(learnt: Path, make_recognition: MakeSpec) -> Ask:
    """Runs an inference into a folder and reads the answers."""

    def run(folder: Path, place: Path, kind: str, *more: str) -> Told:
        spec = make_recognition(
            "inference", folder, f"inference.parent_run={learnt}", f"inference.input_path={place}",
            f"inference.inference_input_type={kind}", *more,
        )  # fmt: skip
        return (result := inference(spec)), answers(result.files["inference"])

    return run


@pytest.fixture(scope="module")
def all_queries(ask: Ask, classes: Places, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return ask(tmp_path_factory.mktemp("all"), classes.query, "classification_folder", "inference.topk=3")


def test_class_folders_are_answered_with_the_nearest_three_references(
    all_queries: Told,
) -> None:
    result, found = all_queries
    assert set(found) == {f"{name}/{image}.png" for name in KNOWN for image in range(2)}
    for labels, far in found.values():
        assert set(labels) <= set(KNOWN)
        assert len(labels) == 3
        assert far == sorted(far)
        assert 0 <= far[0] <= 4  # squared, of unit vectors
    assert result.files["inference"].name == "result.csv"


def test_images_are_counted_apart_from_references(all_queries: Told) -> None:
    result, _ = all_queries
    counts = {name: result.figures[name] for name in ("images", "references", "classes", "none_of_these")}
    assert counts == {"images": 12, "references": 18, "classes": 6, "none_of_these": 0}


def test_the_table_of_embeddings_has_the_classes_numbered_alike_on_both_sides(
    all_queries: Told,
) -> None:
    rows = pq.read_table(all_queries[0].files["embeddings"]).to_pylist()
    numbers = {(row["class"], row["pid"]) for row in rows}
    assert sorted(numbers) == list(zip(sorted(KNOWN), range(1, 7), strict=True))
    assert [row["subset"] for row in rows] == ["query"] * 12 + ["gallery"] * 18


def test_one_image_and_a_folder_of_images_get_the_answers_of_class_folders(
    ask: Ask, all_queries: Told, classes: Places, tmp_path: Path
) -> None:
    _, one = ask(tmp_path / "one", classes.query / "fig" / "1.png", "image", "inference.topk=3")
    _, folder = ask(tmp_path / "folder", classes.query / "fig", "image_folder", "inference.topk=3")
    whole = all_queries[1]
    assert list(one) == ["fig/1.png"]
    assert list(folder) == ["fig/0.png", "fig/1.png"]
    for image, (labels, far) in (one | folder).items():
        assert labels == whole[image][0]
        assert far == pytest.approx(whole[image][1], abs=1e-5)


def test_from_the_threshold_on_an_image_shows_none_of_the_classes(
    ask: Ask, all_queries: Told, classes: Places, tmp_path: Path
) -> None:
    nearest = sorted(far[0] for _, far in all_queries[1].values())
    limit = (nearest[4] + nearest[5]) / 2  # five of twelve are nearer
    result, found = ask(tmp_path, classes.query, "classification_folder", f"inference.threshold={limit}")
    assert result.figures["none_of_these"] == 7
    assert sum(labels == [NONE_OF_THESE] for labels, _ in found.values()) == 7


def test_the_threshold_of_an_evaluation_is_used_and_told(
    ask: Ask, measured: Path, classes: Places, tmp_path: Path
) -> None:
    limit = json.loads((measured / "metrics.json").read_text())["open_set"]["threshold"]
    result, found = ask(
        tmp_path, classes.query, "classification_folder", f"inference.evaluation={measured / 'metrics.json'}"
    )
    assert result.figures["threshold"] == limit
    assert result.figures["none_of_these"] == sum(far[0] >= limit for _, far in found.values())


def test_an_evaluation_without_a_limit_is_refused(ask: Ask, classes: Places, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"open_set": null}')
    with pytest.raises(DataError, match="names no limit of an open set"):
        ask(tmp_path, classes.query, "classification_folder", f"inference.evaluation={tmp_path / 'metrics.json'}")


def test_more_references_than_there_are_cannot_be_listed(ask: Ask, classes: Places, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"inference\.topk is 19, and there are 18 references"):
        ask(tmp_path, classes.query, "classification_folder", "inference.topk=19")


def test_a_class_map_renames_the_answers_and_may_know_more_classes(
    ask: Ask, all_queries: Told, classes: Places, tmp_path: Path
) -> None:
    (tmp_path / "map.yaml").write_text("".join(f"{name}: the {name}\n" for name in [*KNOWN, *UNKNOWN]))
    _, found = ask(
        tmp_path, classes.query, "classification_folder", "inference.topk=3", f"dataset.class_map={tmp_path}/map.yaml"
    )
    assert {image: labels for image, (labels, _) in found.items()} == {
        image: [f"the {label}" for label in labels] for image, (labels, _) in all_queries[1].items()
    }


def test_enrolled_classes_are_recognised_without_a_training(
    ask: Ask, learnt: Path, classes: Places, tmp_path: Path
) -> None:
    gallery = tmp_path / "gallery.parquet"
    best = learnt / "train" / "model_best.pth"
    enroll([classes.reference, classes.unknown], gallery=gallery, checkpoint=best, device="cpu")
    again = f"inference.gallery={gallery}", "dataset.val_dataset.reference="
    result, found = ask(tmp_path, classes.unknown, "classification_folder", *again)
    assert {image: labels for image, (labels, _) in found.items()} == {
        f"{name}/{image}.png": [name] for name in UNKNOWN for image in range(3)
    }
    assert (result.figures["references"], result.figures["classes"]) == (24, 8)
    assert status(tmp_path / "inference")[0]["message"] == "Starting Metric Learning Recognition inference."


def test_a_gallery_of_another_network_is_refused_with_the_checkpoint_that_made_it(
    ask: Ask, learnt: Path, classes: Places, tmp_path: Path
) -> None:
    first = next(learnt.glob("train/model_epoch_000_*.pth"))
    best = load_checkpoint(learnt / "train" / "model_best.pth")
    assert load_checkpoint(first).sha256 != best.sha256
    gallery = tmp_path / "gallery.parquet"
    enroll([classes.unknown], gallery=gallery, checkpoint=first, device="cpu")
    with pytest.raises(CheckpointError, match=f"inference.checkpoint={first}"):
        ask(tmp_path, classes.query, "classification_folder", f"inference.gallery={gallery}")


def test_inference_without_images_or_references_says_which_key_is_missing(
    make_recognition: MakeSpec, classes: Places, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"inference\.input_path is not set"):
        inference(make_recognition("inference", tmp_path))
    no_reference = (f"inference.input_path={classes.query}", "dataset.val_dataset.reference=")
    with pytest.raises(SpecError, match=r"neither dataset\.val_dataset\.reference nor inference\.gallery is set"):
        inference(make_recognition("inference", tmp_path, *no_reference))


@pytest.fixture(scope="module")
def exported(learnt: Path, make_recognition: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("exported")
    export(make_recognition("export", results, f"export.parent_run={learnt}", "export.verify_images=4"))
    return results / "export"


def test_the_exported_network_gives_the_embeddings_of_inference_on_pictures_of_any_size(
    exported: Path, ask: Ask, tmp_path: Path
) -> None:
    """Resized to 1.14 x the input, of which the middle is taken, by the file's own description alone."""
    for number, name in enumerate(KNOWN):
        draw_blob(tmp_path / "images" / f"{name}.png", KNOWN[name], seed=number)
    result, _ = ask(tmp_path, tmp_path / "images", "image_folder")
    rows = [row for row in pq.read_table(result.files["embeddings"]).to_pylist() if row["subset"] == "query"]
    preprocess = Preprocess.from_dict(json.loads((exported / "model.json").read_text())["preprocess"])
    assert (preprocess.resize, preprocess.height, preprocess.width) == (1.14, 32, 32)

    pixels = np.stack([preprocess.load(Path(row["img_path"])) for row in rows])
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["fc_pred"], {"input": normalise(pixels, mean=preprocess.mean, std=preprocess.std)})[0]

    np.testing.assert_allclose(found, [row["embedding"] for row in rows], atol=1e-5)


def test_the_card_of_a_recognition_network_speaks_of_things_and_classes(exported: Path) -> None:
    card = (exported / "model_card.md").read_text(encoding="utf-8")
    assert "Turns a picture of one thing into 16 numbers" in card
    assert "The classes: `apple`, `banana`, `fig`, `lime`, `orange`, `plum`." in card
    assert "| length | 2\N{NO-BREAK SPACE}epochs planned, 16\N{NO-BREAK SPACE}pictures a batch" in card
    assert "**Not evaluated.**" in card
    assert "dataset.val_dataset.reference=" in card  # in the command that measures it
    for word in ("one person", "camera ", "GDPR", "identity"):
        assert word not in card.partition("## Settings of the training")[0], word
