"""The verification figures that hold for a gallery: where they are found, and when they do not apply."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from reid.actions.protocol import VECTOR
from reid.errors import DataError
from reid.files import sha256_of
from reid.retrieval.gallery_file import GalleryFile
from reid.retrieval.search import SEARCH_DISTANCE
from reid.retrieval.verification import Verification

_AVERAGED = {"query_expansion": "none", "augmentation_k": 0}
"""Protocol of an evaluation that compares the vectors themselves, as a search does."""

_MEASURED_FILES = ("embeddings_sha256", "query_embeddings_sha256", "gallery_embeddings_sha256")
"""Keys of metrics.json for the files of embeddings that were measured."""


def find_calibration(gallery: GalleryFile, given: Path | None) -> tuple[Verification | None, str]:
    """Verification figures for the distances of a search, and a line on where they are from or why there are none.

    Args:
        gallery: of the search; its results folder is looked into where no file is given.
        given: `verification.json` of an evaluation, taken unless the files contradict it. One that was only found
            must be of the gallery's network for certain: of its checkpoint, or of this very file, by SHA-256.

    Raises:
        DataError: the file cannot be read, or one that was given is missing or does not hold for this gallery.
    """
    results = gallery.path.absolute().parent.parent
    path = given or results / "evaluate" / "verification.json"
    if not path.is_file():
        if given:
            raise DataError(
                f"there is no verification file {given}",
                "the probability behind a distance is read from the error rates in it",
                "give the verification.json of an evaluation, or leave --verification out",
            )
        return None, f"No probabilities: there is no {path}. {_way_out(gallery, results)}"
    figures = Verification.from_dict(_json(path))
    beside = path.with_name("metrics.json")
    measured = _json(beside) if beside.is_file() else {}
    refusal = _mismatch(figures, measured, gallery)
    if refusal and given:
        raise DataError(
            f"{path} does not hold for this search: {refusal}",
            "its probabilities are those of other distances",
            "evaluate the gallery's own checkpoint without re-ranking or averaging, or leave --verification out",
        )
    if refusal:
        fix = "Name the verification.json of a plain evaluation of the gallery's network with --verification."
        return None, f"No probabilities: {path} does not hold for this search: {refusal}. {fix}"
    if not given and not _same_network(measured, gallery):
        doubt = "nothing shows that it measured the network of this gallery"
        return None, f"No probabilities: {path} is not used: {doubt}. If it did, name it with --verification."
    return figures, f"Probabilities are from {path}: {figures.num_same:,} pairs of one person."


def _way_out(gallery: GalleryFile, results: Path) -> str:
    """How to come by figures; only the gallery of our `inference` lies in a results folder."""
    if "checkpoint" in gallery.metadata:
        command = shlex.join(["reid", "evaluate", f"evaluate.embeddings={gallery.path}", f"results_dir={results}"])
        return f"`{command}` writes it, or name that of another evaluation with --verification."
    return "Name the verification.json of an evaluation of the same network with --verification."


def _mismatch(figures: Verification, measured: dict[str, Any], gallery: GalleryFile) -> str:
    """Why the figures cannot apply; empty where the files, `measured` being metrics.json, do not contradict it."""
    if figures.distance != SEARCH_DISTANCE:
        return f"it was measured on the distance {figures.distance}, and a search has {SEARCH_DISTANCE}"
    protocol = measured.get("protocol", {})
    for key, plain in _AVERAGED.items():
        if protocol.get(key, plain) != plain:
            return f"it was measured with {key}={protocol[key]}, and a search compares the vectors themselves"
    expected, found = gallery.metadata.get("checkpoint_sha256"), measured.get("checkpoint_sha256")
    if expected and found and expected != found:
        return "it was measured with another checkpoint than the one that embedded the gallery"
    for key in VECTOR:
        if key in gallery.metadata and protocol.get(key, gallery.metadata[key]) != gallery.metadata[key]:
            return f"it was measured with {key}={protocol[key]}, and the gallery has {gallery.metadata[key]}"
    return ""


def _same_network(measured: dict[str, Any], gallery: GalleryFile) -> bool:
    """Whether metrics.json names the gallery's checkpoint, or the gallery file itself among what was measured."""
    checkpoint = gallery.metadata.get("checkpoint_sha256")
    if checkpoint and measured.get("checkpoint_sha256") == checkpoint:
        return True
    files = {measured[key] for key in _MEASURED_FILES if key in measured}
    return bool(files) and sha256_of(gallery.path) in files


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
