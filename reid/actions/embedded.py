"""Query and gallery as embeddings, and what results say of them: what `evaluate` measures, wherever they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reid.retrieval.embeddings import Embeddings


@dataclass(frozen=True)
class Embedded:
    """A test set that was embedded.

    Attributes:
        query: its queries, junk dropped.
        gallery: its gallery, junk dropped.
        test_set: fingerprint of what was measured on; figures compare only where it is equal.
        network: which vector of the network is the embedding, as far as it is known; part of the protocol.
        facts: where the embeddings are from and what was dropped, for metrics.json.
        device: where distances are computed, as torch names it.
        classes: names of the identities where they are classes; empty for people.
    """

    query: Embeddings
    gallery: Embeddings
    test_set: str
    network: dict[str, Any]
    facts: dict[str, Any]
    device: object = "cpu"
    classes: Mapping[int, str] = field(default_factory=dict)
