"""Checkpoint files: nothing in them runs, damage is told apart, and a failing write harms nothing."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from reid.errors import CheckpointError
from reid.model.checkpoint import FORMAT, load_checkpoint, read_tensors
from reid.model.checkpoint_io import AtomicCheckpointIO
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings

SETTINGS = NetworkSettings("test_resnet", 3, 64, 32, feat_dim=8)


def content(weights_of: ReidNetwork, **changes: Any) -> dict[str, Any]:
    block = {
        "format": FORMAT,
        "network": SETTINGS.to_dict(),
        "preprocess": {},
        "pids": [4, 7, 9],
        "spec": {},
        "provenance": {},
        "epoch": 2,
        "step": 30,
        "metrics": {"mAP": 0.25},
        **changes,
    }
    weights = {f"network.{name}": tensor for name, tensor in weights_of.state_dict().items()}
    return {"state_dict": {**weights, "criterion.center.centers": torch.zeros(3, 8)}, "reid": block}


def save(path: Path, value: object) -> Path:
    AtomicCheckpointIO().save_checkpoint(value, path)  # type: ignore[arg-type]
    return path


def test_a_checkpoint_gives_back_the_network_in_evaluation_mode_with_equal_embeddings(tmp_path: Path) -> None:
    network, images = ReidNetwork(SETTINGS).eval(), torch.randn(2, 3, 64, 32)

    checkpoint = load_checkpoint(save(tmp_path / "model.pth", content(network)))
    rebuilt = checkpoint.build_network()

    assert (checkpoint.epoch, checkpoint.step, checkpoint.pids) == (2, 30, (4, 7, 9))
    assert checkpoint.metrics == {"mAP": 0.25}
    assert not rebuilt.training
    with torch.inference_mode():
        assert torch.allclose(rebuilt(images), network(images), atol=1e-6)


@pytest.mark.parametrize(("stored", "epoch"), [({"metrics_epoch": 1}, 1), ({"metrics_epoch": None}, None), ({}, None)])
def test_a_checkpoint_tells_whose_figures_it_carries_unless_an_older_version_wrote_it(
    stored: dict[str, Any], epoch: int | None, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS), **stored)))

    assert checkpoint.metrics_epoch == epoch


def test_the_centers_of_the_center_loss_do_not_disturb_the_network(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS))))

    assert not any("centers" in name for name in checkpoint.weights)


def test_a_checkpoint_names_its_file_by_a_hash_that_is_computed_once(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS)))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    checkpoint = load_checkpoint(path)

    assert checkpoint.sha256 == expected
    path.unlink()
    assert checkpoint.sha256 == expected


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_file_with_code_in_it_is_refused_and_the_code_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "reid": Harmful(tmp_path / "was_here")}, tmp_path / "model.pth")

    with pytest.raises(CheckpointError, match="would run code from the file"):
        load_checkpoint(tmp_path / "model.pth")

    assert not (tmp_path / "was_here").exists()


def test_a_plain_pickle_with_code_in_it_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(pickle.dumps(Harmful(tmp_path / "was_here")))

    with pytest.raises(CheckpointError):
        read_tensors(tmp_path / "model.pth")

    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_named_with_its_size(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(CheckpointError, match=r"model\.pth cannot be read as a checkpoint .* bytes.*truncated"):
        load_checkpoint(path)


def test_a_file_that_is_no_torch_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("not a checkpoint")

    with pytest.raises(CheckpointError, match=r"model\.pth is no checkpoint \(16 bytes\).*torch\.save"):
        load_checkpoint(tmp_path / "model.pth")


@pytest.mark.parametrize("value", [{"state_dict": {"weight": torch.zeros(2)}}, torch.zeros(3), [1, 2]])
def test_another_programs_file_is_an_error_that_says_what_it_is_good_for(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "model.pth")

    with pytest.raises(CheckpointError, match=r"not written by this package.*pretrained_model_path"):
        load_checkpoint(tmp_path / "model.pth")


def test_a_newer_format_asks_for_a_newer_version(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS), format=FORMAT + 1))

    with pytest.raises(CheckpointError, match=rf"format {FORMAT + 1}, .* reads up to {FORMAT}.*newer version"):
        load_checkpoint(path)


def test_a_network_described_by_unknown_settings_is_refused_in_words(tmp_path: Path) -> None:
    described = {**SETTINGS.to_dict(), "spectacles": True}
    path = save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS), network=described))

    with pytest.raises(CheckpointError, match=r"describes its network by spectacles, .*version .* that wrote it"):
        load_checkpoint(path)


def test_the_first_format_is_read_and_its_missing_settings_are_the_defaults(tmp_path: Path) -> None:
    described = SETTINGS.to_dict()
    for later in ("id_loss_type", "stride_size", "sie_camera", "jpm", "cameras"):
        del described[later]
    path = save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS), format=1, network=described))

    assert FORMAT == 2  # a version that reads up to 1 would fail at those settings without a word
    assert load_checkpoint(path).network == SETTINGS


def test_a_missing_file_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere\.pth"):
        load_checkpoint(tmp_path / "nowhere.pth")


def test_weights_that_do_not_fit_their_own_description_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pth", content(ReidNetwork(SETTINGS), network={**SETTINGS.to_dict(), "feat_dim": 9}))

    with pytest.raises(CheckpointError, match="do not fit the network it describes"):
        load_checkpoint(path).build_network()


def test_a_failing_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pth", {"value": 1})

    with pytest.raises((AttributeError, pickle.PicklingError)):
        save(path, {"value": lambda: 2})

    assert read_tensors(path) == {"value": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]
