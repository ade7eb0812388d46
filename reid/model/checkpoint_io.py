"""How Lightning writes and reads checkpoints: whole files or none, tensors and plain values only, encrypted on wish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from reid.files import atomic_path
from reid.model.checkpoint import read_tensors
from reid.model.encryption import CHUNK, EncryptedWriter


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's door to the disk: a checkpoint appears under its name only when it is complete and synced.

    Args:
        encryption_key: passphrase that what is written is encrypted with, and what is read may be; empty for none.
    """

    def __init__(self, encryption_key: str = "") -> None:
        self._key = encryption_key

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes to a temporary name beside `path` and renames."""
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file, _disk_errors():
            if not self._key:
                torch.save(checkpoint, file)  # into Python's file: PyTorch's own does not say that the disk is full
                return
            with BufferedWriter(EncryptedWriter(file, self._key), CHUNK) as encrypted:
                torch.save(checkpoint, encrypted)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Reads tensors and plain values, on the CPU."""
        content: dict[str, Any] = read_tensors(Path(path), encryption_key=self._key)
        return content

    def remove_checkpoint(self, path: Any) -> None:
        """Removes the file if it is there."""
        Path(path).unlink(missing_ok=True)


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raises the operating system's error where PyTorch's writer hides it behind one about positions in the file."""
    try:
        yield
    except RuntimeError as error:
        hidden: BaseException | None = error
        while hidden is not None and not isinstance(hidden, OSError):
            hidden = hidden.__cause__ or hidden.__context__
        if hidden is not None:
            raise hidden from None
        raise
