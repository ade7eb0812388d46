"""Side information: which camera and which view each image is from, as numbers that a network can look up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from reid.data.placing import sent
from reid.data.records import Record


class Side(NamedTuple):
    """Camera and view of each image of a batch.

    Attributes:
        camera: int64 [B], place of the camera among those of the training; -1 for one that was not there.
        view: int64 [B], place of the view among those of the training; -1 for one that was not there, or for none.
    """

    camera: Tensor
    view: Tensor

    def rows(self, rows: Tensor) -> Side:
        """The side information of some images, int64 [B]."""
        return Side(self.camera[rows], self.view[rows])

    def to(self, device: torch.device) -> Side:
        """The same on another device."""
        return Side(sent(self.camera, device), sent(self.view, device))


def side_of(records: Sequence[Record | None], *, cameras: Sequence[int], views: Sequence[int]) -> Side:
    """The side information of images.

    Args:
        records: of the images; None for one whose name says nothing.
        cameras: camera numbers of the training, in the order of their embeddings; may be empty.
        views: view numbers of the training, likewise.
    """
    camera_at = {camid: index for index, camid in enumerate(cameras)}
    view_at: dict[int | None, int] = {view: index for index, view in enumerate(views)}
    return Side(
        torch.tensor([-1 if record is None else camera_at.get(record.camid, -1) for record in records]),
        torch.tensor([-1 if record is None else view_at.get(record.view, -1) for record in records]),
    )
