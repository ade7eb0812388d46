"""What a training starts from, and what its checkpoints say of their origin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reid import __version__
from reid.actions.train import train
from reid.errors import SpecError
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
