"""Fills a network with initial weights, and says what it took and what it did not.

The backbone's tensors are taken by name (see `layouts.py`), or, from a file of which no name is known, by order, when
all shapes agree in the backbone's order. Neck and reduction are taken along when the file has them and both fit: they
were trained together. Under half of the backbone is an error: no training starts from random weights by accident.
"""

from __future__ import annotations

import logging
from pathlib import Path

import timm
from torch import Tensor, nn

from reid.errors import CheckpointError, FetchError, ReidError
from reid.files import sha256_of
from reid.model.hub import hub_or_cache
from reid.model.network import ReidNetwork
from reid.model.settings import NV_DINOV2, OSNETS, NetworkSettings, timm_name
from reid.model.weights.mapping import map_by_order, map_names
from reid.model.weights.matching import match
from reid.model.weights.parts import take_parts
from reid.model.weights.positions import converted
from reid.model.weights.reading import read_weights
from reid.model.weights.report import WeightReport, by_reason, some

log = logging.getLogger(__name__)

LEAST = 0.5
"""Share of a part's tensors that a file must have, to count as a file of that network."""

_UNKNOWN = "the network has no tensor of this name"


def load_file(
    network: ReidNetwork, path: Path, *, source: str = "", encryption_key: str = "", leave_out: str = ""
) -> WeightReport:
    """Fills a network from a file of this or another program; the ID classifier is left out.

    Args:
        network: changed in place.
        path: a state dict, or a checkpoint that holds one, of any program in `LAYOUTS`; or a `.safetensors` file. The
            images behind a file of another program are taken to be of timm's size for the network.
        source: what to call the file; its path when not given.
        encryption_key: passphrase, needed for an encrypted checkpoint of this package alone.
        leave_out: why nothing but the backbone shall be taken; "" to take what else fits.

    Raises:
        CheckpointError: not a weights file, or under half of the backbone's tensors match.
    """
    weights, origin = read_weights(path, encryption_key=encryption_key)
    return _fill(network, weights, source or str(path), origin=origin, sha256=sha256_of(path), leave_out=leave_out)


def load_imagenet(network: ReidNetwork) -> WeightReport:
    """Fills a network's backbone with timm's own ImageNet weights, from its hub or local cache.

    Raises:
        CheckpointError: timm has no such weights.
        FetchError: the hub cannot be reached, and the weights are not in the cache.
    """
    name = network.settings.backbone
    require_imagenet(name)
    with hub_or_cache() as answers:
        try:
            weights = timm.create_model(timm_name(name), pretrained=True, num_classes=0).state_dict()
        except Exception as error:  # the hub's client raises many kinds; every one means: no weights
            raise _not_to_be_had(timm_name(name), error, answers=answers) from error
    if not answers:
        log.warning("timm's hub cannot be reached from here: the weights of %s are of the local cache", timm_name(name))
    return _fill(network, weights, f"timm ({timm_name(name)})")


def require_imagenet(name: str) -> None:
    """Refuses a backbone of which timm has no ImageNet weights because it has no such network.

    Raises:
        CheckpointError: it is one.
    """
    if name in OSNETS or name == NV_DINOV2:
        raise CheckpointError(
            f"model.pretrain_choice=imagenet with model.backbone={name}",
            "timm, whose weights that means, has none of it",
            f"fetch {'torchreid' if name in OSNETS else 'NVIDIA'}'s file of this network and give it with "
            'model.pretrained_model_path=FILE, or ask for random weights with model.pretrain_choice=""',
        )


def _not_to_be_had(name: str, error: Exception, *, answers: bool) -> ReidError:
    found = f"model.pretrain_choice=imagenet, and timm's weights of {name} cannot be had here"
    why = "starting from random weights instead would be a different experiment without saying so"
    fix = 'give a file with model.pretrained_model_path=FILE, or ask for random weights with model.pretrain_choice=""'
    if not answers:
        return FetchError(f"{found}: timm's hub cannot be reached, and its local cache has none", why, fix)
    detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return CheckpointError(f"{found} ({detail})", why, fix)


def _fill(
    network: ReidNetwork,
    weights: dict[str, Tensor],
    source: str,
    *,
    origin: NetworkSettings | None = None,
    sha256: str = "",
    leave_out: str = "",
) -> WeightReport:
    """Fills the network with what fits of `weights`, which `origin`, where known, describes."""
    backbone: nn.Module = network.backbone
    own, weights = _without_counters(backbone.state_dict()), _without_counters(weights)
    found = map_names(weights, own)
    theirs = converted(found.backbone, backbone, built_from=network.settings, origin=origin)
    if not theirs.keys() & own.keys() and (ordered := map_by_order(weights, own)):
        found, theirs = ordered, ordered.backbone
    matched = match(theirs, own)
    taken = matched.taken
    if len(taken) < LEAST * len(own):
        raise _of_another_network(
            source, weights, network.settings.backbone, f"{len(taken)} of the {len(own)}", found.layout.title, origin
        )
    backbone.load_state_dict(taken, strict=False)
    network.backbone_loaded()
    parts, refused = ((), dict.fromkeys(found.parts, leave_out)) if leave_out else take_parts(network, found.parts)
    not_taken = refused | dict.fromkeys(matched.unknown, _UNKNOWN)
    report = WeightReport(
        source=source,
        layout=found.layout.name,
        title=found.layout.title,
        loaded=len(taken),
        total=len(own),
        parts=parts,
        missing=matched.missing,
        mismatched=matched.mismatched,
        left_out=by_reason(
            found.left_out | {found.origins.get(name, name): reason for name, reason in not_taken.items()}
        ),
        sha256=sha256,
    )
    log.info("%s", report)
    for tensor in report.mismatched:
        log.warning(
            "%s has another shape of this tensor, which therefore starts from random values: %s", source, tensor
        )
    return report


def _of_another_network(
    source: str, weights: dict[str, Tensor], backbone: str, share: str, title: str, origin: NetworkSettings | None
) -> CheckpointError:
    why = "most of the network would start from random weights"
    if origin is not None and origin.backbone != backbone:
        return CheckpointError(
            f"{source} is a checkpoint of model.backbone={origin.backbone}, and has {share} tensors of {backbone}",
            why,
            f"set model.backbone={origin.backbone}, or give a file of {backbone}",
        )
    return CheckpointError(
        f"{source}, read as {title}, has {share} tensors of model.backbone={backbone}; "
        f"in it are {some(sorted(weights))}",
        why,
        "check that this is the network the file was made with",
    )


def _without_counters(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the batch counters of batch norms: they are no weights, and files of older programs lack them."""
    return {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
