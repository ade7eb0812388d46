"""What a training starts from, and what its checkpoints say of their origin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reid.actions.train import train
from reid.errors import SpecError
from reid.model.checkpoint import load_checkpoint
from tests.actions.conftest import MakeSpec
from tests.actions.helpers import names


def test_own_weights_without_a_file_are_refused_not_replaced_by_random_ones(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"pretrain_choice=self.*pretrained_model_path=FILE.*pretrain_choice=\"\""):
        train(make_spec("train", tmp_path, "model.pretrain_choice=self"))

    assert not [name for name in names(tmp_path / "train") if name.endswith(".pth")]


def test_a_checkpoint_names_the_revision_it_was_trained_at(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        author = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *author, *arguments], cwd=work, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    work = tmp_path / "work"
    work.mkdir()
    (work / "params.yaml").write_text("a: 1\n")
    git("init", "--quiet")
    git("add", "params.yaml")
    git("commit", "--quiet", "--message", "one")
    (work / "params.yaml").write_text("a: 2\n")
    monkeypatch.chdir(work)

    train(make_spec("train", tmp_path, "train.num_epochs=1"))
    monkeypatch.chdir(tmp_path)
    train(make_spec("train", tmp_path / "outside", "train.num_epochs=1"))

    provenance = load_checkpoint(tmp_path / "train" / "model_best.pth").provenance
    assert (provenance["revision"], provenance["revision_changed"]) == (git("rev-parse", "HEAD"), True)
    assert "revision" not in load_checkpoint(tmp_path / "outside" / "train" / "model_best.pth").provenance
