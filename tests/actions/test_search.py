"""`reid search`: pictures and rows against a gallery, the right network, and what makes probabilities."""

from __future__ import annotations

import json
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from reid.actions.evaluate import evaluate
from reid.actions.inference import inference
from reid.actions.search import search
from reid.cli import main
from reid.errors import CheckpointError, DataError
from reid.retrieval.files import read_embeddings
from tests import oracles
from tests.actions.conftest import MakeSpec, Places


@pytest.fixture(scope="module")
def results(trained: Path, make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inference and evaluation of the trained network; tests only read it."""
    folder = tmp_path_factory.mktemp("searched")
    inference(make_spec("inference", folder, f"inference.parent_run={trained}"))
    evaluate(make_spec("evaluate", folder, f"evaluate.parent_run={trained}", "evaluate.report=false"))
    return folder


@pytest.fixture
def gallery(results: Path) -> Path:
    return results / "inference" / "embeddings.parquet"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Five vectors in a plane, at 0, 10, 20, 40 and 80 degrees."""
    angles = np.radians([0, 10, 20, 40, 80])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    path = tmp_path / "plain.npz"
    np.savez(path, vectors=vectors, pid=[1, 1, 2, 2, 3], camid=[1, 2, 1, 2, 1])
    return path


def test_pictures_find_what_sorting_the_gallerys_embeddings_finds(gallery: Path, places: Places) -> None:
    stored = read_embeddings(gallery)
    queries = [row for row, side in enumerate(stored.sides) if side == "query"]
    others = [row for row, side in enumerate(stored.sides) if side == "gallery"]

    result = search([str(places.query)], gallery=gallery, top_k=4)

    assert [answer.path for answer in result.answers] == [stored.paths[row] for row in queries]
    slow = oracles.squared_distances(stored.vectors[queries], stored.vectors[others], l2_normalise=True)
    for answer, distances in zip(result.answers, slow, strict=True):
        expected = sorted(distances)[:4]
        assert [one.distance for one in answer.nearest] == pytest.approx(expected, abs=1e-4)
        assert [one.path for one in answer.nearest] == [stored.paths[one.row] for one in answer.nearest]
        assert {one.row for one in answer.nearest} <= set(others)


def test_a_row_of_the_gallery_finds_the_others_without_a_network(plain: Path) -> None:
    result = search(["row:2"], gallery=plain, top_k=3)

    (answer,) = result.answers
    assert [(one.rank, one.row, one.pid, one.camid) for one in answer.nearest] == [
        (1, 1, 1, 2),  # 10 degrees away
        (2, 0, 1, 1),  # 20 degrees away, as is row 3, which comes later
        (3, 3, 2, 2),
    ]
    assert answer.nearest[0].distance == pytest.approx(2 - 2 * np.cos(np.radians(10)), abs=1e-6)
    assert answer.nearest[0].probability is None


def test_probabilities_are_those_of_the_evaluation_beside_the_gallery_and_never_rise(gallery: Path) -> None:
    result = search(["row:0"], gallery=gallery, top_k=20)

    chances = [one.probability for one in result.answers[0].nearest]
    assert all(chance is not None and 0 < chance < 1 for chance in chances)
    assert chances == sorted(chances, key=lambda chance: -(chance or 0))
    assert "evaluate/verification.json" in result.notes[0]
    rarer = search(["row:0"], gallery=gallery, top_k=20, prior=0.01)
    lower = [one.probability for one in rarer.answers[0].nearest]
    assert all((a or 0) > (b or 1) for a, b in zip(chances, lower, strict=True))


def test_without_an_evaluation_a_line_says_what_to_run_and_it_makes_probabilities(
    gallery: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "inference" / gallery.name
    copy.parent.mkdir()
    shutil.copy(gallery, copy)

    result = search(["row:0"], gallery=copy, top_k=1)
    (note,) = result.notes
    assert note.startswith("No probabilities: there is no ")
    assert result.prior is None
    assert result.answers[0].nearest[0].probability is None

    command = shlex.split(note.split("`")[1])
    assert command[:2] == ["reid", "evaluate"]
    assert main([*command[1:], "evaluate.report=false", "mlflow.enable=false"]) == 0
    assert search(["row:0"], gallery=copy, top_k=1).answers[0].nearest[0].probability is not None


def test_a_gallery_of_another_program_is_told_to_name_figures(plain: Path) -> None:
    (note,) = search(["row:0"], gallery=plain, top_k=1).notes

    assert note.endswith("Name the verification.json of an evaluation of the same network with --verification.")


@pytest.mark.parametrize(
    ("prior", "column", "words"),
    [
        ("0.5", "same person, prior 0.5", "as likely as not to show the person beforehand (prior 0.5)."),
        ("0.01", "same person, prior 0.01", "1 % likely to show the person beforehand (prior 0.01)."),
    ],
)
def test_probabilities_say_what_they_assume_in_table_and_json(
    prior: str, column: str, words: str, gallery: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["search", "row:0", "--gallery", str(gallery), "--top-k", "2", "--prior", prior]

    assert main(asked) == 0
    table = capsys.readouterr().out
    assert column in table
    assert words in table
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prior"] == float(prior)
    assert found["notes"][1].endswith(words)


def test_the_table_names_the_folder_of_the_images_once(
    gallery: Path, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "row:0", "--gallery", str(gallery), "--top-k", "20"]) == 0

    assert capsys.readouterr().out.count(f"{places.gallery}/") == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"checkpoint_sha256": "0" * 64}, "measured with another checkpoint"),
        ({"protocol": {"query_expansion": "aqe(k=5)"}}, r"measured with query_expansion=aqe\(k=5\)"),
        ({"protocol": {"neck_feat": "before"}}, "measured with neck_feat=before"),
    ],
)
def test_verification_of_other_distances_is_not_used_and_when_named_refused(
    change: dict[str, Any], why: str, gallery: Path, results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "evaluate"
    shutil.copytree(results / "evaluate", folder)
    shutil.copytree(results / "inference", tmp_path / "inference")
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["protocol"] |= change.get("protocol", {})
    metrics |= {key: value for key, value in change.items() if key != "protocol"}
    (folder / "metrics.json").write_text(json.dumps(metrics))

    found = search(["row:0"], gallery=tmp_path / "inference" / "embeddings.parquet", top_k=1)
    assert found.answers[0].nearest[0].probability is None
    with pytest.raises(DataError, match=why):
        search(["row:0"], gallery=gallery, top_k=1, verification=folder / "verification.json")


def evaluated(folder: Path, embeddings: Path) -> None:
    """Leaves an evaluation of a file of another program where `search` looks for one."""
    asked = ["evaluate", f"evaluate.embeddings={embeddings}", f"results_dir={folder}"]
    assert main([*asked, "evaluate.report=false", "mlflow.enable=false"]) == 0


def two_sided(path: Path, seed: int, noise: float = 1.0) -> Path:
    """Embeddings without a word on their making: ten people, twice in the query and twice in the gallery."""
    random, pids = np.random.default_rng(seed), np.repeat(np.arange(1, 11), 2)
    people = random.normal(size=(10, 4))
    sides = {side: people[pids - 1] + noise * random.normal(size=(20, 4)) for side in ("query", "gallery")}
    labels = {f"{side}_pid": pids for side in sides} | {"query_camid": pids * 0 + 1, "gallery_camid": pids * 0 + 2}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **sides, **labels)
    return path


def test_figures_of_the_gallery_file_itself_are_used_and_those_of_another_file_are_not(tmp_path: Path) -> None:
    own = two_sided(tmp_path / "inference" / "own.npz", seed=1)
    other = two_sided(tmp_path / "inference" / "other.npz", seed=2)
    evaluated(tmp_path, own)
    figures = tmp_path / "evaluate" / "verification.json"

    assert search(["row:0"], gallery=own, top_k=1).answers[0].nearest[0].probability is not None
    unproven = search(["row:0"], gallery=other, top_k=1)
    assert unproven.answers[0].nearest[0].probability is None
    assert unproven.notes == (
        f"No probabilities: {figures} is not used: nothing shows that it measured the network of this gallery. "
        "If it did, name it with --verification.",
    )
    named = search(["row:0"], gallery=other, top_k=1, verification=figures)
    assert named.answers[0].nearest[0].probability is not None


def test_a_probability_close_to_one_is_not_printed_as_certainty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = two_sided(tmp_path / "inference" / "own.npz", seed=1, noise=1e-3)
    evaluated(tmp_path, own)
    asked = ["search", "row:0", "--gallery", str(own), "--top-k", "1", "--prior"]

    # The nearest is certain but for one of the 360 different pairs: 1 / (1 + 1 / 360) with even odds.
    assert main([*asked, "0.5"]) == 0
    assert " 99.7 % " in capsys.readouterr().out
    assert main([*asked, "0.9"]) == 0
    assert " >99.9 % " in capsys.readouterr().out


def test_figures_without_metrics_beside_them_are_not_used_unless_named(
    gallery: Path, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results / "inference", tmp_path / "inference")
    (tmp_path / "evaluate").mkdir()
    shutil.copy(results / "evaluate" / "verification.json", tmp_path / "evaluate")
    copy = tmp_path / "inference" / gallery.name

    (note,) = search(["row:0"], gallery=copy, top_k=1).notes
    assert "nothing shows that it measured the network of this gallery" in note
    named = search(["row:0"], gallery=copy, top_k=1, verification=tmp_path / "evaluate" / "verification.json")
    assert named.prior == 0.5


def test_a_verification_file_that_is_not_there_is_named_with_what_to_do(plain: Path) -> None:
    with pytest.raises(DataError, match=r"no verification file absent\.json") as raised:
        search(["row:0"], gallery=plain, top_k=1, verification=Path("absent.json"))
    assert raised.value.why
    assert raised.value.fix


def test_json_and_a_contact_sheet_are_written_where_they_are_asked_for(
    gallery: Path, places: Places, tmp_path: Path
) -> None:
    picture = sorted(places.query.iterdir())[0]

    result = search([str(picture), "row:0"], gallery=gallery, top_k=12, out=tmp_path / "found")

    written = json.loads((tmp_path / "found" / "search.json").read_text())
    assert written == json.loads(json.dumps(result.to_dict()))
    assert written["distance"] == "euclidean_l2_normalised"
    assert [len(answer["nearest"]) for answer in written["answers"]] == [12, 12]
    with Image.open(tmp_path / "found" / "contact_sheet.png") as sheet:
        sheet.verify()
    assert set(result.files) == {"search", "contact_sheet"}


def test_the_command_prints_a_table_and_json(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "row:4", "--gallery", str(plain), "--top-k", "1"]) == 0
    table = capsys.readouterr().out
    assert "row:4" in table
    assert "0.4679" in table  # 2 - 2 cos 40 degrees
    assert "same person" not in table

    assert main(["search", "row:4", "--gallery", str(plain), "--top-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"][0]["nearest"][0]["row"] == 3


def test_an_unreadable_query_is_named(gallery: Path, plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")

    with pytest.raises(DataError, match=r"the query .*broken\.jpg is not a readable image"):
        search([str(broken)], gallery=gallery)
    with pytest.raises(DataError, match=r"the query .*absent\.jpg is no file"):
        search([str(tmp_path / "absent.jpg")], gallery=plain)  # and not that the gallery names no checkpoint
    with zipfile.ZipFile(tmp_path / "query.zip", "w") as archive:
        archive.writestr("1.jpg", b"")
    with pytest.raises(DataError, match=r"query\.zip is an archive.*extract it"):
        search([str(tmp_path / "query.zip")], gallery=plain)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        search([str(tmp_path / "empty")], gallery=gallery)


def test_the_queries_of_a_file_without_sides_are_refused(plain: Path, tmp_path: Path) -> None:
    with np.load(plain) as arrays:
        pq.write_table(pa.table({"embedding": list(arrays["vectors"])}), tmp_path / "plain.parquet")

    for file in (plain, tmp_path / "plain.parquet"):
        assert len(search(["row:0"], gallery=file, top_k=1).answers) == 1
        with pytest.raises(DataError, match="not told apart into query and gallery"):
            search(["row:0"], gallery=file, top_k=1, subset="query")


@pytest.mark.parametrize("asked", ["row:5", "row:-1", "row:x"])
def test_a_row_that_is_not_there_is_refused_with_the_rows_that_are(asked: str, plain: Path) -> None:
    with pytest.raises(DataError, match=r"is no row of .*row:0 to row:4"):
        search([asked], gallery=plain)


def test_more_images_than_the_gallery_has_are_refused(plain: Path) -> None:
    assert len(search(["row:0"], gallery=plain, top_k=4).answers[0].nearest) == 4
    with pytest.raises(DataError, match="the nearest 5 are asked of a gallery of 4 images"):
        search(["row:0"], gallery=plain, top_k=5)
    with pytest.raises(DataError, match="the nearest 6 are asked of a gallery of 5 images"):
        search(["row:0"], gallery=plain, top_k=6)


def test_the_only_row_of_a_gallery_finds_nothing_and_is_not_told_to_ask_for_0(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", vectors=np.ones((1, 2), np.float32))

    with pytest.raises(DataError, match="no image but the query's own row") as raised:
        search(["row:0"], gallery=tmp_path / "one.npz", top_k=1)
    assert "0 or fewer" not in str(raised.value)
    with pytest.raises(DataError, match=r"the nearest 2 are asked of a gallery of 1 image\. .* ask for 1 or fewer"):
        search(["row:0"], gallery=tmp_path / "one.npz", top_k=2)


def test_a_picture_needs_a_checkpoint_and_it_must_be_the_gallerys_own(
    gallery: Path, plain: Path, places: Places, trained: Path
) -> None:
    picture = str(sorted(places.query.iterdir())[0])
    other = min((trained / "train").glob("model_epoch_*.pth"))

    with pytest.raises(CheckpointError, match="does not say which checkpoint embedded it"):
        search([picture], gallery=plain, top_k=1)
    with pytest.raises(CheckpointError, match=r"there is no checkpoint absent\.pth"):
        search([picture], gallery=gallery, checkpoint=Path("absent.pth"))
    with pytest.raises(CheckpointError, match="is not the checkpoint that embedded"):
        search([picture], gallery=gallery, checkpoint=other)
    with pytest.raises(CheckpointError, match=r"gives embeddings of 32 numbers, and .* holds 2 each"):
        search([picture], gallery=plain, top_k=1, checkpoint=other)


def test_a_query_row_without_direction_is_named(tmp_path: Path) -> None:
    embedding = pa.FixedSizeListArray.from_arrays(pa.array([0.0, 0.0, 1.0, 0.0], pa.float32()), 2)
    pq.write_table(pa.table({"subset": ["query", "gallery"], "embedding": embedding}), tmp_path / "zero.parquet")

    with pytest.raises(DataError, match="the embedding of the query row:0 is all zero"):
        search(["row:0"], gallery=tmp_path / "zero.parquet", top_k=1)


def test_an_index_is_kept_beside_the_gallery_made_again_for_another_and_its_recall_is_measured(
    plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("faiss")
    caplog.set_level("INFO", logger="reid")

    exact = search(["row:2"], gallery=plain, top_k=3)
    first = search(["row:2"], gallery=plain, top_k=3, index="faiss")
    search(["row:2"], gallery=plain, top_k=3, index="faiss")
    assert (first.recall, exact.recall) == (1.0, None)
    assert {one.row for one in first.answers[0].nearest} == {one.row for one in exact.answers[0].nearest}
    assert caplog.text.count("indexed 5 vectors") == 1

    np.savez(plain, vectors=np.eye(4, 2, dtype=np.float32) + 1)
    search(["row:2"], gallery=plain, top_k=3, index="faiss")
    assert caplog.text.count("indexed 4 vectors") == 1
