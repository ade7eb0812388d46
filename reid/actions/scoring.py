"""From a network and two subsets to a ranking: the path that validation, evaluation and inference share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from reid.actions.subsets import Subsets, embeddings_of
from reid.data.images import Preprocess
from reid.data.pack import Pack
from reid.data.records import Subset
from reid.model.extract import embed
from reid.retrieval.distance import DistanceRows, EuclideanDistance
from reid.retrieval.embeddings import Embeddings, FloatArray
from reid.retrieval.ranking import Ranking, rank
from reid.retrieval.rerank import KReciprocalDistance
from reid.spec.re_identification import ReIdentificationSpec


@dataclass(frozen=True)
class QueryAndGallery:
    """Query and gallery, ready to be embedded.

    Attributes:
        query: its images.
        gallery: its images.
        query_pack: their pixels.
        gallery_pack: their pixels.
        preprocess: how the pixels become input.
    """

    query: Subset
    gallery: Subset
    query_pack: Pack
    gallery_pack: Pack
    preprocess: Preprocess

    @classmethod
    def of(cls, subsets: Subsets, preprocess: Preprocess, *, workers: int) -> QueryAndGallery:
        """Packs query and gallery."""
        query, gallery = subsets["query"], subsets["gallery"]
        return cls(
            query,
            gallery,
            subsets.pack([record.path for record in query.records], preprocess, workers=workers),
            subsets.pack([record.path for record in gallery.records], preprocess, workers=workers),
            preprocess,
        )

    def embed(self, network: nn.Module, *, batch_size: int, device: torch.device) -> tuple[Embeddings, Embeddings]:
        """Embeddings of query and gallery with their labels."""
        return (
            embeddings_of(
                embed_pack(network, self.query_pack, self.preprocess, batch_size, device), self.query.records
            ),
            embeddings_of(
                embed_pack(network, self.gallery_pack, self.preprocess, batch_size, device), self.gallery.records
            ),
        )


def embed_pack(
    network: nn.Module,
    pack: Pack,
    preprocess: Preprocess,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> FloatArray:
    """Embeddings float32 [N, D] of all images of a pack, in its order."""
    return embed(
        network,
        pack.images,
        len(pack),
        mean=preprocess.mean,
        std=preprocess.std,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )


def rank_by(spec: ReIdentificationSpec, query: Embeddings, gallery: Embeddings, *, device: torch.device) -> Ranking:
    """The ranking with the spec's `re_ranking` section."""
    section = spec.re_ranking
    distances: DistanceRows
    if section.re_ranking:
        distances = KReciprocalDistance(
            query, gallery, k1=section.k1, k2=section.k2, lambda_value=section.lambda_value, device=device
        )
    else:
        distances = EuclideanDistance(query, gallery, device=device)
    return rank(distances, query, gallery, top_k=section.max_rank)


def batch_size_of(spec: ReIdentificationSpec, action: str) -> int:
    """The action's own batch size, or `dataset.val_batch_size` where that is -1 (or 0)."""
    own: int = getattr(spec, action).batch_size
    return own if own > 0 else spec.dataset.val_batch_size
