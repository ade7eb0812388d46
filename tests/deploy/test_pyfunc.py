"""The served model: every kind of input becomes exactly the input of training."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from reid.data.images import normalise
from reid.deploy.package import LOADER, read_export
from reid.deploy.pyfunc import BATCH_SIZE, Embedder
from reid.errors import ExportError
from tests.deploy.conftest import PREPROCESS, Exported, loaded


@pytest.fixture(scope="module")
def embedder(exported: Exported) -> Embedder:
    return Embedder(exported.path.parent)


@pytest.fixture(scope="module")
def expected(exported: Exported) -> np.ndarray:
    inputs = normalise(loaded(exported.pictures), PREPROCESS.mean, PREPROCESS.std)
    with torch.inference_mode():
        return exported.network(torch.from_numpy(inputs)).numpy()


def test_paths_give_the_embeddings_of_the_trained_network(
    embedder: Embedder, exported: Exported, expected: np.ndarray
) -> None:
    got = embedder.predict([str(path) for path in exported.pictures])

    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_middle_of_a_larger_image_is_cut_as_in_training(exported: Exported, tmp_path: Path) -> None:
    card = json.loads(exported.path.with_suffix(".json").read_text())
    (tmp_path / "model.onnx").symlink_to(exported.path)
    rule = replace(PREPROCESS, resize=1.3)
    card["preprocess"] |= rule.to_dict()
    (tmp_path / "model.json").write_text(json.dumps(card))

    got = Embedder(tmp_path).predict(exported.pictures)

    inputs = normalise(np.stack([rule.load(path) for path in exported.pictures]), rule.mean, rule.std)
    with torch.inference_mode():
        np.testing.assert_allclose(got, exported.network(torch.from_numpy(inputs)).numpy(), atol=1e-5)


def test_every_kind_of_input_gives_the_same_embeddings(embedder: Embedder, exported: Exported) -> None:
    paths = exported.pictures
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    texts = ["data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode() for path in paths]
    reference = embedder.predict(paths)

    for given in (
        arrays,
        texts,
        [path.read_bytes() for path in paths],
        [Image.open(path) for path in paths],
        [paths[0], arrays[1], texts[2], str(paths[3]), arrays[4].astype(np.int64)],
        np.array([str(path) for path in paths]),
        pd.DataFrame({"image": [str(path) for path in paths], "pid": 1}),
        pd.DataFrame({"image": arrays}),
        {"image": [str(path) for path in paths]},
    ):
        np.testing.assert_array_equal(embedder.predict(given), reference)


def test_one_picture_gives_one_row(embedder: Embedder, exported: Exported) -> None:
    picture = np.asarray(Image.open(exported.pictures[1]).convert("RGB"))
    reference = embedder.predict([picture])

    assert reference.shape == (1, 16)
    for given in (picture, picture[None], str(exported.pictures[1]), exported.pictures[1]):
        np.testing.assert_array_equal(embedder.predict(given), reference)


def test_more_pictures_than_one_batch_keep_their_order(embedder: Embedder) -> None:
    count = BATCH_SIZE + 3
    pictures = np.random.default_rng(5).integers(0, 256, (count, 50, 20, 3), dtype=np.uint8)

    together = embedder.predict(pictures)

    one_by_one = np.concatenate([embedder.predict(picture) for picture in pictures])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


def test_no_pictures_give_no_rows(embedder: Embedder) -> None:
    assert embedder.predict([]).shape == (0, 16)


def test_normalised_embeddings_have_length_one_and_the_same_direction(embedder: Embedder, exported: Exported) -> None:
    plain = embedder.predict(exported.pictures)

    unit = embedder.predict(exported.pictures, {"normalise": True})

    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(unit * np.linalg.norm(plain, axis=1, keepdims=True), plain, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 64, 32, 3), np.float32), "integers 0..255"),
        (np.full((4, 4, 3), 300), "pixel values go from 300 to 300"),
        (np.zeros((64, 32), np.uint8), r"shape \[64, 32\]"),
        (["missing.jpg"], r"missing\.jpg cannot be read"),
        ([b"no image"], "8 bytes cannot be read"),
        (pd.DataFrame({"path": ["a.jpg"]}), r"no column 'image' among \['path'\]"),
        (3.5, "cannot make pictures of float"),
    ],
)
def test_what_is_no_picture_is_named(embedder: Embedder, given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedder.predict(given)


def test_a_truncated_file_is_named_and_not_guessed_at(embedder: Embedder, exported: Exported, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(exported.pictures[0].read_bytes()[:-200])

    with pytest.raises(ValueError, match=r"cut\.jpg cannot be read"):
        embedder.predict([cut])


def test_an_export_whose_bytes_changed_is_refused(exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(exported.path.read_bytes() + b"\0")
    path.with_suffix(".json").write_bytes(exported.path.with_suffix(".json").read_bytes())

    with pytest.raises(ExportError, match="SHA-256 differ"):
        read_export(path)


def test_a_missing_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"model\.onnx does not exist"):
        read_export(tmp_path / "model.onnx")


def test_the_loader_imports_nothing_of_this_package() -> None:
    assert "import reid" not in LOADER.read_text()
    assert "from reid" not in LOADER.read_text()
