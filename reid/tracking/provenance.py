"""Which code, data lock and packages a run was made with."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from reid.files import sha256_of

PACKAGES = (
    "reid-pipeline",
    "torch",
    "torchvision",
    "timm",
    "pytorch-lightning",
    "numpy",
    "pillow",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "mlflow",
    "prefect",
    "dvc",
)


PACKAGE = Path(__file__).parents[1]
"""The folder of the code that runs."""


class Revision(NamedTuple):
    """A state of the code.

    Attributes:
        commit: of git.
        changed: whether a file of the package differs from it or is not in it.
    """

    commit: str
    changed: bool


def code_revision(package: Path = PACKAGE) -> Revision | None:
    """The revision of the package's own code, wherever it is run; None for an installed copy, which its version names.

    An environment often lies inside the working copy of something else. So git must know the package's files: the
    folder that they lie in says nothing.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "HEAD")
    return Revision(commit, changed=_git(package, "status", "--porcelain", "--", ".") != "") if commit else None


def revision_tags(folder: Path) -> dict[str, str]:
    """Revision of the code; commit and SHA-256 of `dvc.lock` of a working copy; what is not there is left out.

    `reid.git_dirty` says whether tracked files of the working copy differ from its commit, `reid.code_changed` whether
    files of the package differ from theirs.

    Args:
        folder: any folder of the working copy. Git is asked with a time limit of 10 s and never blocks a run.
    """
    tags: dict[str, str] = {}
    if code := code_revision():
        tags |= {"reid.code_revision": code.commit, "reid.code_changed": str(code.changed).lower()}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["reid.git_dirty"] = "true" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "false"
    root = _git(folder, "rev-parse", "--show-toplevel")
    for lock in dict.fromkeys((folder / "dvc.lock", Path(root or folder) / "dvc.lock")):
        if lock.is_file():
            tags["reid.dvc_lock_sha256"] = sha256_of(lock)
            break
    return tags


def versions() -> dict[str, str]:
    """Versions of Python and of the `PACKAGES` that are installed, without importing them."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, stripped; None without git, outside a working copy, or without a commit."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run([git, *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
