"""From a network and two subsets to a ranking: the path that validation, evaluation and inference share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reid.actions.subsets import Subsets, embeddings_of
from reid.data.images import Preprocess
from reid.data.pack import Pack
from reid.data.records import Record, Subset
from reid.errors import SpecError
from reid.retrieval.distance import DistanceRows, EuclideanDistance
from reid.retrieval.embeddings import Embeddings, FloatArray, require_distances
from reid.retrieval.expansion import augment_gallery, expand_queries
from reid.retrieval.ranking import Ranking, rank
from reid.retrieval.rerank import KReciprocalDistance
from reid.spec.experiment import ExperimentSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from reid.data.side import Side
    from reid.model.extract import ImageRows

_LISTED = 10  # candidates of a query in the report, however few `re_ranking.max_rank` draws


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

    def embed(
        self, network: nn.Module, *, batch_size: int, device: torch.device
    ) -> tuple[Embeddings, Embeddings] | None:
        """Embeddings of query and gallery with their labels; None in other processes than the main one."""
        query = embed_pack(network, self.query_pack, self.query.records, self.preprocess, batch_size, device)
        gallery = embed_pack(network, self.gallery_pack, self.gallery.records, self.preprocess, batch_size, device)
        if query is None or gallery is None:
            return None
        return embeddings_of(query, self.query.records), embeddings_of(gallery, self.gallery.records)


def embed_pack(
    network: nn.Module,
    pack: Pack,
    records: Sequence[Record | None],
    preprocess: Preprocess,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> FloatArray | None:
    """Embeddings float32 [N, D] of all images of a pack, in its order; None in other processes than the main one.

    Args:
        records: what is known of each image, for networks that look at its camera or view; None where its name says
            nothing.
    """
    from reid.model.network import ReidNetwork  # needs torch, which a ranking of embeddings does not

    side = network.side_of(records) if isinstance(network, ReidNetwork) else None
    return embed_pixels(network, pack.images, len(pack), preprocess, batch_size, device, progress, side)


def embed_pixels(
    network: nn.Module,
    images: ImageRows,
    count: int,
    preprocess: Preprocess,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
    side: Side | None = None,
) -> FloatArray | None:
    """Embeddings float32 [count, D] of images at the network's input size, which `images` gives by ranges.

    None in other processes than the main one.
    """
    from reid.model.extract import embed  # needs torch, which a ranking of embeddings does not

    return embed(
        network,
        images,
        count,
        mean=preprocess.mean,
        std=preprocess.std,
        batch_size=batch_size,
        device=device,
        side=side,
        progress=progress,
    )


def rank_by(spec: ExperimentSpec, query: Embeddings, gallery: Embeddings, *, device: object = "cpu") -> Ranking:
    """The ranking that the `evaluate` and `re_ranking` sections describe, for evaluation and validation alike.

    Args:
        device: where distances are computed, as torch names it; "cpu" needs no torch.

    Raises:
        SpecError: vectors are to be averaged and not normalised.
        DataError: the two sides cannot be compared, float32 does not hold their distances, or `evaluate.memory_gb` is
            too small.
    """
    chosen, section = spec.evaluate, spec.re_ranking
    memory_bytes = chosen.memory_bytes
    require_distances(query, gallery, l2_normalise=chosen.l2_normalise)
    query, gallery = _averaged(spec, query, gallery, memory_bytes)
    distances: DistanceRows
    if section.re_ranking:
        distances = KReciprocalDistance(
            query,
            gallery,
            k1=section.k1,
            k2=section.k2,
            lambda_value=section.lambda_value,
            l2_normalise=chosen.l2_normalise,
            device=device,
            memory_bytes=memory_bytes,
        )
    else:
        distances = EuclideanDistance(query, gallery, l2_normalise=chosen.l2_normalise, device=device)
    top_k = max(spec.listed, _LISTED)
    return rank(distances, query, gallery, exclude=chosen.exclude, top_k=top_k, memory_bytes=memory_bytes)


def batch_size_of(spec: ExperimentSpec, action: str) -> int:
    """The action's own batch size, or that of validation where that is -1 (or 0)."""
    own: int = getattr(spec, action).batch_size
    return own if own > 0 else spec.val_batch_size


def _averaged(
    spec: ExperimentSpec, query: Embeddings, gallery: Embeddings, memory_bytes: int
) -> tuple[Embeddings, Embeddings]:
    """Both sides after database augmentation and query expansion, in this order, as far as they are switched on."""
    chosen = spec.evaluate
    if not chosen.l2_normalise and (chosen.augmentation_k or chosen.query_expansion != "none"):
        raise SpecError(
            f"evaluate.l2_normalise is false, with evaluate.query_expansion={chosen.query_expansion} and "
            f"evaluate.augmentation_k={chosen.augmentation_k}",
            "both average vectors of unit length, which raw distances would compare with vectors of any length",
            "set evaluate.l2_normalise=true, or evaluate.query_expansion=none and evaluate.augmentation_k=0",
        )
    if chosen.augmentation_k:
        gallery = augment_gallery(gallery, k=chosen.augmentation_k, memory_bytes=memory_bytes)
    if chosen.query_expansion != "none":
        alpha = chosen.expansion_alpha if chosen.query_expansion == "alpha_qe" else None
        query = expand_queries(query, gallery, k=chosen.expansion_k, alpha=alpha, memory_bytes=memory_bytes)
    return query, gallery
