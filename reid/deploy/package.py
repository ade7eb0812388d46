"""What of an export goes into a served model, checked before it leaves the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from reid.errors import ExportError
from reid.files import sha256_of

LOADER = Path(__file__).with_name("pyfunc.py")
"""The file that loads the model; it imports `REQUIREMENTS` and nothing of this package."""

REQUIREMENTS = ("numpy", "pillow", "onnxruntime")


@dataclass(frozen=True)
class ExportedModel:
    """An export as it lies on disk.

    Attributes:
        files: by the names `pyfunc.Embedder` looks for.
        embedding_size: values of one embedding.
        sha256: of the `.onnx` file.
        metadata: what `export_onnx` was given to store, such as `checkpoint_sha256`.
    """

    files: dict[str, Path]
    embedding_size: int
    sha256: str
    metadata: dict[str, str]


def read_export(path: Path) -> ExportedModel:
    """Reads what `export_onnx` wrote to `path`.

    Raises:
        ExportError: the file or the `.json` beside it is missing, damaged, or of another export.
    """
    described = path.with_suffix(".json")
    card = _card(path, described)
    if sha256_of(path) != card["sha256"]:
        raise ExportError(
            f"{path} is not the file that {described.name} describes (their SHA-256 differ)",
            "its preprocessing and its agreement with the trained network are unknown",
            "run the export action again",
        )
    files = {"model.json": described, card["file"]: path}
    weights = path.with_name(f"{path.name}.data")
    if weights.is_file():
        files[weights.name] = weights
    return ExportedModel(files, card["output"]["size"], card["sha256"], card["metadata"])


def pinned_requirements() -> list[str]:
    """`REQUIREMENTS` at the versions that run here, which are those the export was checked with."""
    return [f"{name}=={metadata.version(name)}" for name in REQUIREMENTS]


def _card(path: Path, described: Path) -> dict[str, Any]:
    for file in (path, described):
        if not file.is_file():
            raise ExportError(f"{file} does not exist", "", "run the export action first, or correct export.onnx_file")
    try:
        card: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
        return {key: card[key] for key in ("file", "sha256", "output", "metadata")}
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{described} cannot be read: {type(error).__name__}: {error}",
            "it tells how the network's input is made",
            "run the export action again",
        ) from error
