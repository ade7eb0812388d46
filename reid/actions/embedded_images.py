"""Query and gallery images, embedded by a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from reid.actions.embedded import Embedded
from reid.actions.engine import embedder_of
from reid.actions.handover import hand_over
from reid.actions.processes import processes
from reid.actions.protocol import VECTOR
from reid.actions.recipes.table import recipe_of
from reid.actions.scoring import QueryAndGallery, batch_size_of
from reid.actions.settings import as_launched, hardware_of
from reid.actions.subsets import Subsets, open_subsets
from reid.data.images import Preprocess
from reid.model.checkpoint import Checkpoint
from reid.spec.experiment import ExperimentSpec


@dataclass(frozen=True)
class EvaluationImages:
    """Images and the checkpoint that will embed them, checked.

    Attributes:
        spec: filled with all that follows from the checkpoint.
        checkpoint: the network.
        subsets: query and gallery.
    """

    spec: ExperimentSpec
    checkpoint: Checkpoint
    subsets: Subsets

    @classmethod
    def open(cls, spec: ExperimentSpec) -> EvaluationImages:
        """Finds checkpoint and images; nothing is embedded yet.

        Raises:
            CheckpointError: there is no checkpoint, or it is of another network.
            DataError: query or gallery cannot be used, or no query has a match.
        """
        spec, checkpoint = hand_over(as_launched(spec, "evaluate"), "evaluate")
        subsets = open_subsets(spec, spec.test_places("evaluate"), action="evaluate")
        recipe_of(spec).require_evaluable(subsets["query"], subsets["gallery"])
        return cls(spec, checkpoint, subsets)

    def embed(self) -> Embedded | None:
        """Embeds all of them on the spec's device, in as many processes as it says; None in all but the main one."""
        spec, checkpoint, subsets = self.spec, self.checkpoint, self.subsets
        hardware = hardware_of(spec, "evaluate")
        preprocess = Preprocess.from_dict(checkpoint.preprocess)
        test_set = QueryAndGallery.of(subsets, preprocess, workers=spec.workers)
        images = len(test_set.query_pack) + len(test_set.gallery_pack)
        with processes("evaluate", spec, hardware):
            network, engine = embedder_of(
                spec, checkpoint, test_set.query_pack, images=images, hardware=hardware, cache_dir=subsets.cache_dir
            )
            sides = test_set.embed(network, batch_size=batch_size_of(spec, "evaluate"), device=hardware.device)
        if sides is None:
            return None
        query, gallery = sides
        return Embedded(
            query,
            gallery,
            test_set=subsets.test_set,
            network={key: getattr(checkpoint.network, key) for key in VECTOR if key in type(spec.model).model_fields},
            facts={
                "query_junk_dropped": len(subsets["query"].junk),
                "gallery_junk_dropped": len(subsets["gallery"].junk),
                "checkpoint": checkpoint.path.name,
                "checkpoint_epoch": checkpoint.epoch,
                "checkpoint_sha256": checkpoint.sha256,
                "embedding_engine": engine,
            },
            device=hardware.device,
            classes=subsets["gallery"].classes | subsets["query"].classes,
        )
