"""Checkpoint files: tensors and plain values only, written whole or not at all, read without running code from them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reid.errors import CheckpointError
from reid.files import sha256_of
from reid.model.encryption import decrypt, is_encrypted
from reid.model.settings import NetworkSettings

if TYPE_CHECKING:
    from reid.model.network import ReidNetwork

FORMAT = 2
"""Grows when a file can no longer be read by the versions before: 2 describes heads, patches and side information."""

OURS = "reid"
"""Key of our own block inside the checkpoint; the rest is Lightning's, for resuming."""

EMA = "ema"
"""Key of the moving average of the network's tensors, by their names in the network."""

_NETWORK = "network."


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and where it came from.

    Attributes:
        path: the file.
        epoch: counted from 0, as in the file's name.
        step: optimiser steps done.
        network: how to build it.
        weights: tensors of the network, by name; of its moving average where the training kept one.
        preprocess: how its images are made, as `Preprocess.to_dict` writes it.
        pids: training identity of each class. Where several folders were merged, those of each but the first are
            moved: `provenance["train_sources"]` then lists for each folder what was added (`pid_offset`).
        metrics: of the last validation before it was written; empty before the first.
        metrics_epoch: the epoch that validation measured; None before the first.
        history: a row of figures for each epoch so far, as in metrics.csv; None when an older version wrote it.
        spec: the resolved spec of the training.
        provenance: version, revision, counts and fingerprint of the training data.
    """

    path: Path
    epoch: int
    step: int
    network: NetworkSettings
    weights: dict[str, Tensor]
    preprocess: dict[str, Any]
    pids: tuple[int, ...]
    metrics: dict[str, float]
    metrics_epoch: int | None
    history: tuple[dict[str, float], ...] | None
    spec: dict[str, Any]
    provenance: dict[str, Any]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, hexadecimal; it is read for this once, when it is first asked for."""
        return sha256_of(self.path)

    def build_network(self) -> ReidNetwork:
        """The network with its trained weights, in evaluation mode, on the CPU.

        Raises:
            CheckpointError: the weights do not fit the network that the file describes.
        """
        from reid.model.network import ReidNetwork  # timm takes seconds to import; to read a checkpoint needs none

        network = ReidNetwork(self.network)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"the weights in {self.path} do not fit the network it describes ({self.network.backbone})",
                str(error).splitlines()[-1].strip(),
                "use the checkpoint with the versions of this package and timm that wrote it, or train again",
            ) from error
        return network.eval().to(memory_format=torch.channels_last)


def load_checkpoint(path: Path, *, encryption_key: str = "") -> Checkpoint:
    """Reads a checkpoint that `train` wrote.

    Args:
        path: the file.
        encryption_key: passphrase, needed for an encrypted file alone.

    Raises:
        CheckpointError: missing, truncated, holding code, written by another program or a newer version, or encrypted
            with another passphrase.
    """
    content = read_tensors(path, encryption_key=encryption_key)
    ours = content.get(OURS) if isinstance(content, dict) else None
    if not isinstance(ours, dict):
        raise CheckpointError(
            f"{path} was not written by this package's train",
            "it does not say which network, classes and preprocessing its weights belong to",
            "give it as model.pretrained_model_path to start a training from its weights",
        )
    if ours["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {ours['format']}, and this version reads up to {FORMAT}",
            fix="install a newer version of this package",
        )
    return Checkpoint(
        path=path,
        epoch=ours["epoch"],
        step=ours["step"],
        network=_settings(path, ours["network"]),
        weights=network_weights(content),
        preprocess=ours["preprocess"],
        pids=tuple(ours["pids"]),
        metrics=ours["metrics"],
        metrics_epoch=ours.get("metrics_epoch"),
        history=tuple(ours["history"]) if "history" in ours else None,
        spec=ours["spec"],
        provenance=ours["provenance"],
    )


def _settings(path: Path, described: dict[str, Any]) -> NetworkSettings:
    unknown = sorted(described.keys() - {field.name for field in fields(NetworkSettings)})
    if unknown:
        raise CheckpointError(
            f"{path} describes its network by {', '.join(unknown)}, which this version does not know",
            "without that it would be another network",
            "use the version of this package that wrote it",
        )
    return NetworkSettings(**described)


def network_weights(content: dict[str, Any]) -> dict[str, Tensor]:
    """The network's tensors in a checkpoint that `train` wrote, by name; its moving average where there is one."""
    if EMA in content:
        average: dict[str, Tensor] = content[EMA]
        return average
    return {
        name.removeprefix(_NETWORK): value for name, value in content["state_dict"].items() if name.startswith(_NETWORK)
    }


def read_tensors(path: Path, *, encryption_key: str = "") -> Any:
    """Content of a torch file, on the CPU, refusing anything but tensors and plain values.

    Args:
        path: the file.
        encryption_key: passphrase, needed for an encrypted file alone.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}", fix="check the path, or run train first")
    try:
        source = decrypt(path, encryption_key) if is_encrypted(path) else path
        return torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if "unsupported global" in str(error).lower():  # PyTorch's words for a class or function in the file
            raise CheckpointError(
                f"{path} holds more than tensors and plain values",
                "loading it would run code from the file, so it is refused",
                "if you trust its origin, load it once in a program of your own and save its state_dict alone",
            ) from error
        if not _begins_as_torch_file(path):
            raise CheckpointError(
                f"{path} is no checkpoint ({path.stat().st_size:,} bytes)",
                "it does not begin as the files of torch.save do",
                "check the path; a training's own checkpoints are the .pth files in its folder",
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "weights only load failed" in reason.lower():  # what PyTorch goes on to advise there is unsafe
            reason = "it does not have the form of a torch file"
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({path.stat().st_size:,} bytes): {reason}",
            "the file is truncated or is not a torch file",
            "take another checkpoint from the same folder, or copy the file again",
        ) from error


def _begins_as_torch_file(path: Path) -> bool:
    """Whether the first bytes are those of a zip archive, a pickle, or one of our encrypted files, or none are left."""
    with path.open("rb") as file:
        start = file.read(2)
    return not start or start.startswith((b"PK", b"\x80")) or is_encrypted(path)
