"""Which code, data lock and packages a run was made with."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

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


def revision_tags(folder: Path) -> dict[str, str]:
    """Git commit, whether tracked files differ from it, and the SHA-256 of `dvc.lock`; what is not there is left out.

    Args:
        folder: any folder of the working copy. Git is asked with a time limit of 10 s and never blocks a run.
    """
    tags: dict[str, str] = {}
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
