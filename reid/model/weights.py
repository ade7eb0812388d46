"""Initial weights of a backbone: from timm's hub, or from a file that some other program wrote.

Names are compared after the prefixes that programs put before the backbone's own names are taken off. A file of which
no name is known, but whose tensors have the backbone's shapes in the backbone's order, is taken by order (the same
network under another program's names). Position tables of another input size are resampled, by timm's own rules. What
did not match is reported, and under half of the backbone is an error: no training starts from random weights by
accident.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from reid.errors import CheckpointError
from reid.model.backbone import build_backbone
from reid.model.checkpoint import EMA, OURS, read_tensors
from reid.model.hub import hub_or_cache
from reid.model.patches import set_patch_grid
from reid.model.settings import SIDE_BY_SIDE, TAO_RESNETS, NetworkSettings

log = logging.getLogger(__name__)

_CONTAINERS = (EMA, "state_dict", "model", "model_state_dict", "state_dict_ema", "teacher", "network")
_PREFIXES = ("module.", "model.", "network.", "backbone.", "base.", "encoder.", "trunk.")
_LEAST = 0.5


@dataclass(frozen=True)
class WeightReport:
    """What a file gave to a network.

    Attributes:
        source: where the weights came from.
        loaded: tensors that were taken.
        missing: tensors of the backbone that the source does not have.
        unused: tensors of the source that the backbone does not have.
        mismatched: tensors of another shape, with both shapes.
    """

    source: str
    loaded: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]

    def __str__(self) -> str:
        total = self.loaded + len(self.missing) + len(self.mismatched)
        return (
            f"{self.loaded} of {total} backbone tensors from {self.source}; not in it: {_some(self.missing)}; "
            f"of another shape: {_some(self.mismatched)}; not used: {_some(self.unused)}"
        )


def load_file(
    backbone: nn.Module, path: Path, *, settings: NetworkSettings | None = None, encryption_key: str = ""
) -> WeightReport:
    """Fills a backbone from a .pth file; the ID classifier and other parts of it are left out.

    Args:
        backbone: as `build_backbone` makes it; changed in place.
        path: a state dict, or a checkpoint that holds one, of timm, torchvision, Lightning or this package.
        settings: what the backbone was built from; without them, a checkpoint of this package is taken to be of the
            same input size. The images behind any other file are taken to be of timm's size for the network.
        encryption_key: passphrase, needed for an encrypted checkpoint of this package alone.

    Raises:
        CheckpointError: not a weights file, or under half of the backbone's tensors match.
    """
    content = read_tensors(path, encryption_key=encryption_key)
    weights = {_bare(name): tensor for name, tensor in _state_dict(content, path).items()}
    return _fill(backbone, weights, str(path), built_from=settings, origin=_origin(content))


def load_imagenet(backbone: nn.Module, name: str) -> WeightReport:
    """Fills a backbone with timm's own ImageNet weights, from its hub or local cache.

    Args:
        backbone: as `build_backbone` makes it; changed in place.
        name: TAO's or timm's name.

    Raises:
        CheckpointError: timm has no such weights, or the hub cannot be reached.
    """
    timm_name = TAO_RESNETS.get(name, name)
    try:
        with hub_or_cache():
            weights = timm.create_model(timm_name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:  # the hub's client raises many kinds; every one means: no weights
        raise CheckpointError(
            f"model.pretrain_choice=imagenet, and timm's weights of {timm_name} cannot be had here "
            f"({type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no detail'})",
            "starting from random weights instead would be a different experiment without saying so",
            "give a file with model.pretrained_model_path=FILE, or ask for random weights with "
            'model.pretrain_choice=""',
        ) from error
    return _fill(backbone, weights, f"timm ({timm_name})")


def _fill(
    backbone: nn.Module,
    weights: dict[str, Tensor],
    source: str,
    *,
    built_from: NetworkSettings | None = None,
    origin: NetworkSettings | None = None,
) -> WeightReport:
    """Fills the backbone built from `built_from` with what fits of weights that `origin`, where known, describes."""
    state = backbone.state_dict()
    try:
        converted = _converted(weights, backbone, built_from, origin)
    except Exception as error:  # each family of timm's has rules of its own, and a foreign file breaks them in any way
        log.info("%s is taken without timm's conversion (%s: %s)", source, type(error).__name__, error)
        converted = weights
    if _fitting(converted, state) >= _fitting(weights, state):  # some conversions are for the authors' own files alone
        weights = converted
    if not weights.keys() & state.keys() and (renamed := _by_order(weights, state)):
        log.info("the names in %s are another program's; its tensors fit the backbone one by one, in order", source)
        weights = renamed
    own, weights = _without_counters(state), _without_counters(weights)
    common = {name for name in own if name in weights}
    taken = {name: weights[name] for name in common if weights[name].shape == own[name].shape}
    report = WeightReport(
        source=source,
        loaded=len(taken),
        missing=tuple(sorted(own.keys() - common)),
        unused=tuple(sorted(weights.keys() - own.keys())),
        mismatched=tuple(
            f"{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}"
            for name in sorted(common - taken.keys())
        ),
    )
    if len(taken) < _LEAST * len(own):
        raise CheckpointError(
            f"{len(taken)} of the backbone's {len(own)} tensors are in {source}. "
            f"It has for example {_some(tuple(sorted(weights)))}; wanted for example {_some(tuple(sorted(own)))}",
            "most of the network would start from random weights",
            "check that model.backbone is the network the file was made with",
        )
    backbone.load_state_dict(taken, strict=False)
    log.info("%s", report)
    for tensor in report.mismatched:
        log.warning(
            "%s has another shape of this tensor, which therefore starts from random values: %s", source, tensor
        )
    return report


def _converted(
    weights: dict[str, Tensor],
    backbone: nn.Module,
    built_from: NetworkSettings | None,
    origin: NetworkSettings | None,
) -> dict[str, Tensor]:
    """The weights with positions resampled to the backbone's input size, where timm knows how."""
    if origin is None or (built_from and built_from.backbone != origin.backbone):
        return _by_timms_rules(weights, backbone)
    if built_from is None or _grid(built_from) == _grid(origin):
        return weights
    return _from_size(origin, weights, built_from)


def _by_timms_rules(weights: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """What timm does to a file of pretrained weights before it loads it: older names, other patch and window sizes.

    It takes the positions in the file to form a square.
    """
    for kind in type(backbone).__mro__:
        convert: Any = getattr(sys.modules[kind.__module__], "checkpoint_filter_fn", None)
        if convert is not None:
            return dict(convert(dict(weights), backbone))
    return weights


def _from_size(origin: NetworkSettings, weights: dict[str, Tensor], wanted: NetworkSettings) -> dict[str, Tensor]:
    """Weights of the same backbone at another size or stride; no size need be square, as the network itself resizes."""
    source: Any = build_backbone(origin)
    if not hasattr(source, "set_input_size"):
        return weights
    source.load_state_dict({name: weights[name] for name in source.state_dict()})
    size, stride = (wanted.input_height, wanted.input_width), wanted.stride_size
    if origin.stride_size == stride == SIDE_BY_SIDE:
        source.set_input_size(img_size=size)
    else:
        set_patch_grid(source, size, source.patch_embed.patch_size if stride == SIDE_BY_SIDE else stride)
    resized: dict[str, Tensor] = source.state_dict()
    return weights | resized


def _fitting(weights: dict[str, Tensor], state: dict[str, Tensor]) -> int:
    return sum(name in weights and weights[name].shape == tensor.shape for name, tensor in state.items())


def _origin(content: Any) -> NetworkSettings | None:
    """The network that a checkpoint of this package describes; None for other files."""
    ours = content.get(OURS) if isinstance(content, dict) else None
    return NetworkSettings(**ours["network"]) if isinstance(ours, dict) else None


def _grid(settings: NetworkSettings) -> tuple[int, int, tuple[int, int]]:
    """What decides how many positions a network of patches has."""
    return settings.input_height, settings.input_width, settings.stride_size


def _by_order(weights: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors under the backbone's names when all shapes agree in order; {} when not.

    After the backbone's tensors the file may have its classifier: a weight and a bias.
    """
    tensors, rest = list(weights.values())[: len(state)], len(weights) - len(state)
    if not 0 <= rest <= 2 or [t.shape for t in tensors] != [t.shape for t in state.values()]:
        return {}
    return dict(zip(state, tensors, strict=True))


def _without_counters(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the batch counters of batch norms: they are no weights, and files of older programs lack them."""
    return {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(3):
        if not isinstance(content, dict):
            break
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        content = next((content[key] for key in _CONTAINERS if key in content), None)
    raise CheckpointError(
        f"{path} holds no named tensors",
        f"weights are looked for at the top and under {', '.join(_CONTAINERS)}",
        "save the network's state_dict() to a file and give that one",
    )


def _bare(name: str) -> str:
    while (prefix := next((p for p in _PREFIXES if name.startswith(p)), "")) != "":
        name = name.removeprefix(prefix)
    return name


def _some(names: tuple[str, ...], count: int = 3) -> str:
    if not names:
        return "none"
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
