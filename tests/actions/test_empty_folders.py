"""A folder without images is an error that names folder and key; an export opens no more images than it compares."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reid.actions.dataset import dataset
from reid.actions.export import export
from reid.actions.inference import inference
from reid.errors import DataError
from tests.actions.conftest import MakeSpec, Places


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "Thumbs.db").write_bytes(b"not an image")
    return folder


@pytest.mark.parametrize("key", ["dataset.train_dataset_dir", "dataset.query_dataset_dir", "dataset.test_dataset_dir"])
def test_the_dataset_action_names_the_empty_folder_and_its_key(
    make_spec: MakeSpec, tmp_path: Path, empty: Path, key: str
) -> None:
    with pytest.raises(DataError) as refused:
        dataset(make_spec("dataset", tmp_path, f"{key}={empty}"))

    assert f"{empty} ({key}) holds no image" in refused.value.found
    assert (tmp_path / "dataset" / "report.json").is_file()  # what was found, written before the refusal


@pytest.mark.parametrize(
    "key",
    ["inference.query_dataset", "inference.test_dataset", "dataset.query_dataset_dir", "dataset.test_dataset_dir"],
)
def test_inference_refuses_an_empty_side_also_when_the_other_has_images(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, empty: Path, key: str
) -> None:
    with pytest.raises(DataError) as refused:
        inference(make_spec("inference", tmp_path, f"inference.parent_run={trained}", f"{key}={empty}"))

    assert f"{empty} ({key}) holds no image" in refused.value.found
    assert not (tmp_path / "inference" / "inference.json").exists()


def test_export_names_the_empty_folder_and_its_key(
    trained: Path, make_spec: MakeSpec, tmp_path: Path, empty: Path
) -> None:
    with pytest.raises(DataError) as refused:
        export(make_spec("export", tmp_path, f"export.parent_run={trained}", f"dataset.query_dataset_dir={empty}"))

    assert f"{empty} (dataset.query_dataset_dir) holds no image" in refused.value.found
    assert not (tmp_path / "export" / "model.onnx").exists()


def test_export_opens_only_the_images_that_it_compares(
    trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    query = shutil.copytree(places.query, tmp_path / "query")
    first, second, third, *others = sorted(query.iterdir())
    second.write_bytes(second.read_bytes()[:200])
    for path in others:
        path.write_bytes(b"an image that must not be opened")
    given = (f"export.parent_run={trained}", f"dataset.query_dataset_dir={query}", "export.verify_images=2")

    result = export(make_spec("export", tmp_path / "skip", *given))  # the first and the third

    assert result.figures["checked_images"] == 2
    for path in (first, third):
        path.unlink()
    with pytest.raises(DataError, match=r"none of the 6 images of the query folder .*\(dataset\.query_dataset_dir\)"):
        export(make_spec("export", tmp_path / "none", *given))
    with pytest.raises(DataError, match=second.name):
        export(make_spec("export", tmp_path / "error", *given, "dataset.on_bad_image=error"))
