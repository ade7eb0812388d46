"""`reid enroll`: a gallery of named classes grows and shrinks, by one network only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reid.actions.enroll import enroll
from reid.actions.search import search
from reid.cli import main
from reid.errors import CheckpointError, DataError
from reid.retrieval.recognised import recognise
from reid.retrieval.references import read_gallery_references
from tests.actions.conftest import draw


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Path:
    return trained / "train" / "model_best.pth"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of each of three classes."""
    root = tmp_path_factory.mktemp("classes")
    for pid, name in enumerate(("apple", "fig", "pear"), start=60):
        (root / name).mkdir()
        for number in range(2):
            draw(root / name / f"{number}.jpg", pid, seed=10 * pid + number)
    return root


@pytest.fixture(scope="module")
def made(checkpoint: Path, folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the three classes; tests copy it."""
    path = tmp_path_factory.mktemp("made") / "fruit.parquet"
    enroll([folders], gallery=path, checkpoint=checkpoint, device="cpu")
    return path


@pytest.fixture
def gallery(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "fruit.parquet"))


def test_a_new_gallery_holds_every_picture_under_its_class(made: Path, folders: Path) -> None:
    references = read_gallery_references(made)
    assert references.counts() == {"apple": 2, "fig": 2, "pear": 2}
    assert references.embeddings.paths[:2] == tuple(str(folders / "apple" / f"{n}.jpg") for n in range(2))


def test_an_enrolled_class_is_recognised_at_once(gallery: Path, tmp_path: Path) -> None:
    kiwi = tmp_path / "kiwi"
    kiwi.mkdir()
    for number in range(2):
        draw(kiwi / f"{number}.png", 70, seed=number)
    result = enroll([kiwi], gallery=gallery, device="cpu")
    assert result.changes == {"kiwi": 2}
    references = read_gallery_references(gallery)
    found = recognise(references.embeddings.vectors[-4:-2], references.embeddings, topk=1)
    assert found.names(references.classes) == [["kiwi"], ["kiwi"]]


def test_a_known_class_gains_references_and_none_is_counted_twice(gallery: Path, folders: Path, tmp_path: Path) -> None:
    more = Path(shutil.copytree(folders / "fig", tmp_path / "fig"))
    assert enroll([more, folders / "fig"], gallery=gallery, device="cpu").changes == {"fig": 2}
    assert enroll([more], gallery=gallery, device="cpu").changes == {}


def test_replace_drops_the_old_references_of_the_given_classes_alone(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "fig").mkdir()
    draw(tmp_path / "fig" / "new.jpg", 61, seed=5)
    result = enroll([tmp_path / "fig"], gallery=gallery, replace=True, device="cpu")
    assert result.classes == {"apple": 2, "fig": 1, "pear": 2}
    assert result.changes == {"fig": -1}


def test_a_class_is_removed_without_a_network(gallery: Path) -> None:
    assert enroll([], gallery=gallery, remove=["fig"]).changes == {"fig": -2}
    assert read_gallery_references(gallery).classes == {1: "apple", 2: "pear"}


def test_removing_an_unknown_class_names_the_nearest(gallery: Path) -> None:
    with pytest.raises(DataError, match="it has 3 classes, such as apple"):
        enroll([], gallery=gallery, remove=["aple"])


def test_the_last_class_is_not_removed(gallery: Path) -> None:
    before = gallery.read_bytes()
    with pytest.raises(DataError, match="no reference is left"):
        enroll([], gallery=gallery, remove=["apple", "fig", "pear"])
    assert gallery.read_bytes() == before


def test_another_networks_checkpoint_is_refused(gallery: Path, folders: Path, checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(checkpoint.read_bytes() + b"0")
    before = gallery.read_bytes()
    with pytest.raises(CheckpointError, match="is not the checkpoint that embedded"):
        enroll([folders], gallery=gallery, checkpoint=other, device="cpu")
    assert gallery.read_bytes() == before


def test_a_new_gallery_needs_a_checkpoint(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is new, and no checkpoint is given"):
        enroll([folders], gallery=tmp_path / "new.parquet", device="cpu")


def test_a_folder_of_pictures_and_folders_is_refused(gallery: Path, folders: Path, tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(folders, tmp_path / "mixed"))
    draw(mixed / "loose.jpg", 60, seed=1)
    with pytest.raises(DataError, match="holds 1 pictures and 3 folders"):
        enroll([mixed], gallery=gallery, device="cpu")


def test_a_damaged_picture_leaves_the_gallery_as_it_was(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "plum").mkdir()
    (tmp_path / "plum" / "0.jpg").write_bytes(b"no picture")
    before = gallery.read_bytes()
    with pytest.raises(DataError, match=r"the reference .*0\.jpg is not a readable image"):
        enroll([tmp_path / "plum"], gallery=gallery, device="cpu")
    assert gallery.read_bytes() == before


def test_rows_of_queries_are_not_lost_by_enrolling(folders: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"embedding": [[1.0, 0.0], [0.0, 1.0]], "subset": ["query", "gallery"], "class": ["fig", "fig"]})
    pq.write_table(table, tmp_path / "both.parquet")
    with pytest.raises(DataError, match=r"1 of 2 rows .* are no gallery images"):
        enroll([folders], gallery=tmp_path / "both.parquet", device="cpu")


def test_search_names_the_classes(gallery: Path, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(folders / "fig" / "0.jpg")
    (answer,) = search([picture], gallery=gallery, top_k=2, device="cpu").answers
    assert (answer.nearest[0].class_name, answer.nearest[0].path) == ("fig", picture)
    assert main(["search", picture, "--gallery", str(gallery), "--top-k", "1", "--device", "cpu"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    header = lines.index(["image", "rank", "distance", "class", "row"])
    assert lines[header + 2] == ["0.jpg", "1", "0.0000", "fig", "2"]


def test_the_command_tells_what_changed_and_lists_what_is_there(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["enroll", "--gallery", str(gallery), "--remove", "fig", "--remove", "pear"]) == 0
    assert f"{gallery}: 2 references of 1 classes." in capsys.readouterr().out
    assert main(["enroll", "--gallery", str(gallery), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == {"apple": 2}
    assert main(["enroll", "--gallery", str(tmp_path / "none.parquet")]) == 2
