"""Opens a file of weights, of any program, as named tensors; nothing in the file is ever run."""

from __future__ import annotations

import argparse
import collections
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid.errors import CheckpointError
from reid.model.checkpoint import OURS, network_weights, read_tensors
from reid.model.settings import NetworkSettings

_CONTAINERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "teacher", "network")
"""Keys under which programs keep the network's tensors, the likeliest first."""


def read_weights(path: Path, *, encryption_key: str = "") -> tuple[dict[str, Tensor], NetworkSettings | None]:
    """The tensors in a file by name, and the network they belong to where the file is a checkpoint of this package.

    Args:
        path: a state dict, a checkpoint that holds one, or a `.safetensors` file.
        encryption_key: passphrase, needed for an encrypted checkpoint of this package alone.

    Raises:
        CheckpointError: missing, damaged, holding code, or without named tensors.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path), None
    with torch.serialization.safe_globals(_plain_values()):
        content = read_tensors(path, encryption_key=encryption_key)
    ours = content.get(OURS) if isinstance(content, dict) else None
    if isinstance(ours, dict):
        weights = {f"network.{name}": tensor for name, tensor in network_weights(content).items()}
        return weights, NetworkSettings(**ours["network"])
    return _state_dict(content, path), None


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"there is no file {path}", fix="check the path")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({path.stat().st_size:,} bytes): {error}",
            "the file is truncated or is not what its name says",
            "copy the file again",
        ) from error


def _plain_values() -> list[Any]:
    """Classes that other programs leave in their checkpoints, that hold values and run nothing.

    TAO keeps lists of OmegaConf's, torchreid NumPy's numbers, TransReID and SOLIDER the arguments of the command line.
    """
    from omegaconf import DictConfig, ListConfig
    from omegaconf.base import ContainerMetadata, Metadata
    from omegaconf.nodes import AnyNode

    number, array = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    return [
        *(argparse.Namespace, collections.defaultdict, collections.Counter, dict, list, int, (Any, "typing.Any")),
        *(ContainerMetadata, Metadata, ListConfig, DictConfig, AnyNode),
        *(np.dtype, np.ndarray, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?"))),
        *((number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # numpy 1 and 2
        *((array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    ]


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(3):
        if not isinstance(content, dict):
            break
        inner = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
            break
        content = inner
    raise CheckpointError(
        f"{path} holds no named tensors",
        f"weights are looked for at the top and under {', '.join(_CONTAINERS)}",
        "save the network's state_dict() to a file and give that one",
    )
