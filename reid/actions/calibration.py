"""The verification figures that hold for a gallery: where they are found, and when they do not apply."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from reid.errors import DataError
from reid.retrieval.gallery_file import GalleryFile
from reid.retrieval.search import SEARCH_DISTANCE
from reid.retrieval.verification import Verification

_AVERAGED = {"query_expansion": "none", "augmentation_k": 0}
"""Protocol of an evaluation that compares the vectors themselves, as a search does."""


def find_calibration(gallery: GalleryFile, given: Path | None) -> tuple[Verification | None, str]:
    """Verification figures for the distances of a search, and a line on where they are from or why there are none.

    Args:
        gallery: of the search; its results folder is looked into where no file is given.
        given: `verification.json` of an evaluation.

    Raises:
        DataError: the file cannot be read, or one that was given does not hold for this gallery.
    """
    results = gallery.path.absolute().parent.parent
    path = given or results / "evaluate" / "verification.json"
    if not path.is_file():
        if given:
            raise DataError(f"there is no file {given}", "", "give the verification.json of an evaluation")
        return None, f"No probabilities: there is no {path}. {_way_out(gallery, results)}"
    figures = Verification.from_dict(_json(path))
    refusal = _mismatch(figures, path, gallery)
    if refusal and given:
        raise DataError(
            f"{path} does not hold for this search: {refusal}",
            "its probabilities are those of other distances",
            "evaluate the gallery's own checkpoint without re-ranking or averaging, or leave --verification out",
        )
    if refusal:
        return None, f"No probabilities: {path} does not hold for this search: {refusal}."
    return figures, f"Probabilities are from {path}: {figures.num_same:,} pairs of one person."


def _way_out(gallery: GalleryFile, results: Path) -> str:
    """How to come by figures; only the gallery of our `inference` lies in a results folder."""
    if "checkpoint" in gallery.metadata:
        command = shlex.join(["reid", "evaluate", f"evaluate.embeddings={gallery.path}", f"results_dir={results}"])
        return f"`{command}` writes it, or name that of another evaluation with --verification."
    return "Name the verification.json of an evaluation of the same network with --verification."


def _mismatch(figures: Verification, path: Path, gallery: GalleryFile) -> str:
    """Why the figures do not apply; empty when they do, as far as the files tell."""
    if figures.distance != SEARCH_DISTANCE:
        return f"it was measured on the distance {figures.distance}, and a search has {SEARCH_DISTANCE}"
    beside = path.with_name("metrics.json")
    measured: dict[str, Any] = _json(beside) if beside.is_file() else {}
    protocol = measured.get("protocol", {})
    for key, plain in _AVERAGED.items():
        if protocol.get(key, plain) != plain:
            return f"it was measured with {key}={protocol[key]}, and a search compares the vectors themselves"
    expected, found = gallery.metadata.get("checkpoint_sha256"), measured.get("checkpoint_sha256")
    if expected and found and expected != found:
        return "it was measured with another checkpoint than the one that embedded the gallery"
    for key in ("neck_feat", "with_flip_feature"):
        if key in gallery.metadata and protocol.get(key, gallery.metadata[key]) != gallery.metadata[key]:
            return f"it was measured with {key}={protocol[key]}, and the gallery has {gallery.metadata[key]}"
    return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON ({error})", "it is damaged or of another kind", "evaluate again"
        ) from error
    if not isinstance(values, dict):
        raise DataError(f"{path} holds a {type(values).__name__}", "it must hold names and values", "evaluate again")
    return values
