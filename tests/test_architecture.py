"""What starting a program loads, and what no file may hold."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("module", ["reid", "reid.tracking", "reid.cli", "reid.spec.load", "reid.actions.dataset"])
def test_starting_does_not_load_what_only_some_commands_need(module: str, tmp_path: Path) -> None:
    heavy = ("torch", "mlflow", "prefect", "dvc", "timm", "pytorch_lightning", "matplotlib", "onnx")

    program = f"import sys, {module}; print(*sorted(set({heavy!r}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_no_file_names_a_package_registry_or_a_machine() -> None:
    hosts = ("pypi" + ".org", "python" + "hosted", "files." + "python", "npmjs" + ".com", "/work/" + "main")
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    named = [
        f"{name}: {host}"
        for name in files
        if (ROOT / name).suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".yml", "", ".sh", ".cfg"}
        for host in hosts
        if host in (ROOT / name).read_text(encoding="utf-8", errors="ignore")
    ]

    assert named == []


def test_every_room_stands_in_the_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    rooms = {
        f"reid.{path.stem}"
        for path in (ROOT / "reid").iterdir()
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").is_file())
    }

    assert {room for layer in layers for room in layer.split(" | ")} == rooms | {"flows", "tasks"}


def test_every_room_but_tracking_is_kept_from_mlflow() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    kept = next(contract for contract in settings["contracts"] if contract.get("forbidden_modules") == ["mlflow"])

    rooms = {room for layer in layers for room in layer.split(" | ") if room.startswith("reid.")}
    assert set(kept["source_modules"]) == rooms - {"reid.tracking"}
