"""The model card of an export: figures only of the very checkpoint that was exported, else the line that makes them."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from reid.actions.card import write_model_card
from reid.actions.evaluate import evaluate
from reid.actions.export import export
from reid.actions.handover import hand_over
from reid.cli import main
from reid.files import sha256_of
from reid.model.checkpoint import load_checkpoint
from tests.actions.conftest import MakeSpec, Places

EVALUATED = "In the evaluation the nearest picture showed somebody else"


@pytest.fixture(scope="module")
def results(trained: Path, make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluation and export of the trained network; tests only read it."""
    folder = tmp_path_factory.mktemp("carded")
    evaluate(make_spec("evaluate", folder, f"evaluate.parent_run={trained}", "evaluate.report=false"))
    export(make_spec("export", folder, f"export.parent_run={trained}", "export.verify_images=5"))
    return folder


@pytest.fixture
def copied(results: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(results, tmp_path / "results")
    return tmp_path / "results"


def renewed(make_spec: MakeSpec, trained: Path, folder: Path, *overrides: str) -> str:
    """The card that the export in a folder would write now."""
    spec = make_spec("export", folder, f"export.parent_run={trained}", *overrides)
    spec, checkpoint = hand_over(spec, "export")
    return write_model_card(spec, folder, checkpoint, checked_on="query images").read_text()


def change(folder: Path, **values: Any) -> None:
    path = folder / "evaluate" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_export_writes_a_card_of_the_figures_counts_and_digests_in_its_files(results: Path, trained: Path) -> None:
    card = (results / "export" / "model_card.md").read_text().replace("\N{NO-BREAK SPACE}", " ")

    measured = json.loads((results / "evaluate" / "metrics.json").read_text())
    low, high = measured["intervals"]["mAP"]
    assert f"| mAP | {100 * measured['mAP']:.1f} % | [{100 * low:.1f}, {100 * high:.1f}] |" in card
    assert "| people | 6 |" in card
    assert "| pictures | 43 |" in card
    assert "(query images), in batches of 1, 3, 5:" in card
    checkpoint = load_checkpoint(next((trained / "train").glob("model_best.pth")).resolve())
    for digest in (
        sha256_of(checkpoint.path),
        sha256_of(results / "export" / "model.onnx"),
        checkpoint.provenance["train_fingerprint"],
    ):
        assert f"`{digest}`" in card


def test_figures_of_the_results_that_the_checkpoint_lies_in_are_found_from_another_folder(
    copied: Path, trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    shutil.copytree(trained / "train", copied / "train", symlinks=True)
    elsewhere = f"export.onnx_file={copied / 'export' / 'model.onnx'}"

    assert EVALUATED in renewed(make_spec, copied, tmp_path, elsewhere)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"checkpoint_sha256": "0" * 64}, "is of the checkpoint 000000000000, and not of "),
        ({"checkpoint_sha256": None}, "is of embeddings of an unknown network, and not of "),
        ({"protocol": {"neck_feat": "before"}}, "neck_feat was before there and is after in the export."),
    ],
)
def test_an_evaluation_of_something_else_does_not_count(
    copied: Path, trained: Path, make_spec: MakeSpec, values: dict[str, Any], why: str
) -> None:
    change(copied, **values)

    card = renewed(make_spec, trained, copied)

    assert "**Not evaluated.** The evaluation beside the export " in card
    assert why in card
    assert EVALUATED not in card


@pytest.mark.parametrize("content", ["", "[1]", '{"checkpoint_sha256": 3}'])
def test_a_damaged_evaluation_stops_no_export(copied: Path, trained: Path, make_spec: MakeSpec, content: str) -> None:
    (copied / "evaluate" / "metrics.json").write_text(content)

    assert "**Not evaluated.**" in renewed(make_spec, trained, copied)


def test_an_evaluation_by_an_older_version_is_told_by_what_it_lacks(
    copied: Path, trained: Path, make_spec: MakeSpec
) -> None:
    path = copied / "evaluate" / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["intervals"], metrics["camera_pairs"]
    path.write_text(json.dumps(metrics))

    assert "of another version: it has no intervals, camera_pairs." in renewed(make_spec, trained, copied)


def test_the_command_on_a_card_without_figures_makes_them(
    copied: Path, trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    shutil.rmtree(copied / "evaluate")
    card = renewed(make_spec, trained, copied)
    assert "There was no evaluation when the model was exported." in card
    command = shlex.split(card.partition("```sh\n")[2].partition("\n```")[0].replace("\\\n", " "))

    assert command[:2] == ["reid", "evaluate"]
    assert f"dataset.query_dataset_dir={places.query}" in command
    quick = ("device=cpu", "mlflow.enable=false", "evaluate.report=false", f"dataset.cache_dir={tmp_path / 'cache'}")
    assert main([*command[1:], *quick]) == 0

    assert EVALUATED in renewed(make_spec, trained, copied)


def test_places_that_the_spec_does_not_name_are_asked_for_in_capitals(
    copied: Path, trained: Path, make_spec: MakeSpec
) -> None:
    shutil.rmtree(copied / "evaluate")

    card = renewed(make_spec, trained, copied, "dataset.query_dataset_dir=", "dataset.test_dataset_dir=")

    assert "dataset.query_dataset_dir=QUERY_IMAGES \\\n" in card


def test_no_password_of_the_spec_stands_on_the_card(copied: Path, trained: Path, make_spec: MakeSpec) -> None:
    shutil.rmtree(copied / "evaluate")

    card = renewed(make_spec, trained, copied, "evaluate.query_dataset=https://me:hush@example.org/q.tar")

    assert "hush" not in card
    assert "example.org/q.tar" in card
