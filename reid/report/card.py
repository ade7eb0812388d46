"""The model card: what an exported model is, what it was made of, how good it is, and what it must not be used for.

Source of the outline: Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reid.files import write_text
from reid.report.markdown import render_markdown
from reid.report.words import CLASSES, PEOPLE

_SHOWN_PAIRS = 20
_RATES = (1e-2, 1e-3, 1e-4)  # false positive rates of which `metrics.json` gives the true positive rate


@dataclass(frozen=True)
class CardCheckpoint:
    """The checkpoint that was exported.

    Attributes:
        file: its name.
        sha256: of the file.
        epoch: counted from 0.
        step: optimiser steps done.
        network: how it is built, as `NetworkSettings.to_dict` writes it.
        provenance: version, revision, seed, counts and fingerprint of the training data; the names of its classes
            where it was not of people.
        spec: the resolved spec of the training, without secrets.
    """

    file: str
    sha256: str
    epoch: int
    step: int
    network: Mapping[str, Any]
    provenance: Mapping[str, Any]
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class CardFigures:
    """The evaluation of that checkpoint, or why there is none.

    Attributes:
        metrics: content of `metrics.json`; None where this checkpoint was not evaluated.
        absence: a sentence on why not.
        command: that measures it.
    """

    metrics: Mapping[str, Any] | None
    absence: str = ""
    command: str = ""


def write_card(
    path: Path,
    *,
    name: str,
    checkpoint: CardCheckpoint,
    figures: CardFigures,
    exported: Mapping[str, Any],
    megabytes: float,
    checked_on: str,
) -> Path:
    """Writes the card as Markdown, whole or not at all.

    Args:
        path: the `.md` file.
        name: of the model.
        checkpoint: what was exported.
        figures: how good it is.
        exported: content of `model.json`, which the export wrote.
        megabytes: size of the exported file.
        checked_on: what the exported file was compared with the network on, such as "query images".
    """
    metrics = figures.metrics
    pairs = _weakest_first(metrics["camera_pairs"] or []) if metrics else []
    of_classes = "train_classes" in checkpoint.provenance
    card = render_markdown(
        "card-classes.md.j2" if of_classes else "card.md.j2",
        {
            "name": name,
            "words": CLASSES if of_classes else PEOPLE,
            "checkpoint": checkpoint,
            "figures": figures,
            "metrics": metrics,
            "rates": _RATES,
            "pairs": pairs[:_SHOWN_PAIRS],
            "more_pairs": len(pairs) - len(pairs[:_SHOWN_PAIRS]),
            "exported": exported,
            "megabytes": megabytes,
            "checked_on": checked_on,
            "spec_yaml": yaml.safe_dump(dict(checkpoint.spec), sort_keys=False, allow_unicode=True),
        },
    )
    write_text(path, card)
    return path


def _weakest_first(pairs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Lowest mAP first."""
    return sorted(pairs, key=lambda pair: (pair["mAP"], pair["query_camera"], pair["gallery_camera"]))
