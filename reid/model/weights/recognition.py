"""Initial weights of a trunk, of an embedder, and of both: each from a file of its own, as TAO has it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from reid.errors import CheckpointError
from reid.files import sha256_of
from reid.model.network import ReidNetwork
from reid.model.weights.layouts import without_wrappers
from reid.model.weights.loading import LEAST, load_file
from reid.model.weights.mapping import Mapped, map_names
from reid.model.weights.matching import match
from reid.model.weights.reading import read_weights
from reid.model.weights.report import WeightReport, by_reason, some

log = logging.getLogger(__name__)

_EMBEDDER = "embedder."


class WeightFile(NamedTuple):
    """A file of weights.

    Attributes:
        path: on this machine.
        label: what to call it, as `label_of` gives it; its path when empty.
    """

    path: Path
    label: str = ""


def load_parts(
    network: ReidNetwork,
    *,
    trunk: WeightFile | None = None,
    embedder: WeightFile | None = None,
    whole: WeightFile | None = None,
    encryption_key: str = "",
) -> dict[str, WeightReport]:
    """Fills trunk and embedder; where a whole network is given too, what it has stands over both.

    A whole network, of TAO's or of this package, need not have an embedder of the same size: then the trunk alone is
    taken from it, with a warning. A file named for the embedder must fit it.

    Args:
        network: changed in place.
        trunk: of any layout that `load_file` knows; nothing but the backbone is taken.
        embedder: an embedder alone, or a whole network.
        whole: trunk and embedder.
        encryption_key: passphrase, needed for encrypted checkpoints of this package alone.

    Returns:
        A report for each file, by "trunk", "embedder" and "whole".

    Raises:
        CheckpointError: not a weights file, or it has under half of the part's tensors.
    """
    reports: dict[str, WeightReport] = {}
    if trunk:
        reports["trunk"] = load_file(
            network,
            trunk.path,
            source=trunk.label,
            encryption_key=encryption_key,
            leave_out="model.pretrained_trunk_path gives the trunk alone",
        )
    if embedder:
        reports["embedder"] = load_embedder(network, embedder, encryption_key=encryption_key)
    if whole:
        found = load_file(network, whole.path, source=whole.label, encryption_key=encryption_key)
        if "embedder" not in found.parts:
            start = "comes from its own file" if embedder else "starts from random values"
            log.warning("%s has no embedder that fits: this network's %s", found.source, start)
        reports["whole"] = found
    return reports


def load_embedder(network: ReidNetwork, file: WeightFile, *, encryption_key: str = "") -> WeightReport:
    """Fills a network's embedder from a file that has one under TAO's names or ours.

    Raises:
        CheckpointError: not a weights file, or under half of the embedder's tensors match.
    """
    weights, _ = read_weights(file.path, encryption_key=encryption_key)
    source = file.label or str(file.path)
    module: nn.Module = network.embedder
    own = module.state_dict()
    found = _mapped(weights, network.backbone.state_dict())
    theirs = {n.removeprefix(_EMBEDDER): t for n, t in found.parts.items() if n.startswith(_EMBEDDER)}
    matched = match(theirs, own, prefix=_EMBEDDER)
    taken, mismatched = matched.taken, matched.mismatched
    if len(taken) < LEAST * len(own):
        other = f"; of another shape: {some([str(tensor) for tensor in mismatched])}" if mismatched else ""
        raise CheckpointError(
            f"{len(taken)} of the embedder's {len(own)} tensors are in {source}, which has for example "
            f"{some(sorted(weights))}; wanted for example {some(sorted(own))}{other}",
            "most of the embedder would start from random weights",
            "check that model.backbone and model.feat_dim are those of the network that the file was made with, or "
            "take model.pretrained_embedder_path out",
        )
    module.load_state_dict(taken, strict=False)
    no_place = dict.fromkeys(matched.unknown, "the embedder has no tensor of this name")
    report = WeightReport(
        source=source,
        layout=found.layout.name,
        title=found.layout.title,
        loaded=len(taken),
        total=len(own),
        parts=(),
        missing=matched.missing,
        mismatched=mismatched,
        left_out=by_reason({found.origins[_EMBEDDER + name]: reason for name, reason in no_place.items()}),
        sha256=sha256_of(file.path),
        module="embedder",
    )
    log.info("%s", report)
    return report


def _mapped(weights: dict[str, Tensor], backbone: dict[str, Tensor]) -> Mapped:
    """The file's names; of an embedder alone, whose names may lack what a whole network puts before them."""
    found = map_names(weights, backbone)
    if any(name.startswith(_EMBEDDER) for name in found.parts):
        return found
    return map_names({_EMBEDDER + without_wrappers(name, ()): tensor for name, tensor in weights.items()}, backbone)
