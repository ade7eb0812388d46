"""What a training starts from, and what its checkpoints say of their origin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reid import __version__
from reid.actions.train import train
from reid.errors import DataError, ReidError, SpecError
from reid.model.checkpoint import load_checkpoint
from reid.tracking.provenance import code_revision
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import names


def test_own_weights_without_a_file_are_refused_not_replaced_by_random_ones(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"pretrain_choice=self.*pretrained_model_path=FILE.*pretrain_choice=\"\""):
        train(make_spec("train", tmp_path, "model.pretrain_choice=self"))

    assert not [name for name in names(tmp_path / "train") if name.endswith(".pth")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["model.backbone=resnet_51"], r"model\.backbone=resnet_51 is neither a name of TAO's.*did you mean resnet_50"),
        (
            ["model.sie_camera=true"],
            r"model\.sie_camera=true with model\.backbone=test_resnet.*plain vision transformer",
        ),
        (["model.pretrain_choice=self"], r"model\.pretrained_model_path is not set"),
        (["model.backbone=osnet_x0_25", "model.pretrain_choice=imagenet"], r"timm, whose weights that means, has none"),
        (
            ["model.pretrained_model_path=absent.pth"],
            r"model\.pretrained_model_path=absent\.pth: there is no such file",
        ),
    ],
)
def test_what_no_images_can_mend_is_told_before_any_image_is_read(
    given: list[str], message: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0001_c1.jpg").write_bytes(b"no picture")
    place = f"dataset.train_dataset_dir={tmp_path}/broken"

    with pytest.raises(ReidError, match=message) as refused:
        train(make_spec("train", tmp_path, place, *given))
    assert refused.value.exit_code == 2
    with pytest.raises(DataError, match="no image would be left"):
        train(make_spec("train", tmp_path, place))


def test_a_checkpoint_names_the_revision_of_the_code_and_not_of_the_folder_it_was_trained_in(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "params.yaml").write_text("a: 1\n")
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for arguments in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message", "one"]):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    monkeypatch.chdir(work)

    train(make_spec("train", tmp_path, "train.num_epochs=1"))

    provenance = load_checkpoint(tmp_path / "train" / "model_best.pth").provenance
    code = code_revision()
    assert provenance["version"] == __version__
    assert provenance.get("revision") == (code.commit if code else None)
    assert provenance.get("revision_changed") == (code.changed if code else None)
