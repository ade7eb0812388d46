"""P x K batches: P identities with K images each, drawn anew each epoch, without looking at global random state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from reid.errors import DataError

IntArray = npt.NDArray[np.int64]


class PKSampler(Sampler[list[int]]):
    """Yields batches of P * K row numbers.

    In an epoch each identity gives floor(n / K) groups of K different images (one group, drawn with replacement, when
    it has fewer than K). Batches take P identities with groups left, chosen uniformly, until fewer than P are left.
    The draw depends on (seed, epoch) alone, so an epoch can be drawn again after a resume, and epochs differ.
    With several ranks the batch is drawn once and split: each rank takes P / ranks whole identities of it.
    `state_dict` tells how many batches of the epoch were given, so that a checkpoint can be taken inside an epoch.

    Args:
        pids: identity of each training image, [N].
        batch_size: images in one batch over all ranks, P * K.
        num_instances: images of each identity in a batch, K.
        seed: with the epoch, fixes the draw.
        rank: this process among `num_ranks`.
        num_ranks: processes that train together; it must divide P.

    Raises:
        DataError: fewer than P identities, or sizes that do not divide.

    Source of the scheme: Hermans et al., In Defense of the Triplet Loss for Person Re-Identification, 2017, section 2.
    """

    def __init__(
        self,
        pids: Sequence[int],
        *,
        batch_size: int,
        num_instances: int,
        seed: int,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self._images = _rows_by_pid(np.asarray(pids))
        self._identities = batch_size // num_instances
        self._num_instances = num_instances
        if batch_size % num_instances or self._identities % num_ranks:
            raise DataError(
                f"batch_size {batch_size} with num_instances {num_instances} on {num_ranks} process(es)",
                "a batch is P identities of K images each, and each process takes whole identities",
                f"make dataset.batch_size a multiple of {num_instances * num_ranks}",
            )
        if len(self._images) < self._identities:
            raise DataError(
                f"{len(self._images)} identities to train on, and a batch needs {self._identities} "
                f"(batch_size {batch_size} / num_instances {num_instances})",
                "each identity may stand in a batch only once",
                f"set dataset.batch_size to at most {len(self._images) * num_instances}, or add identities",
            )
        self._seed, self._epoch = seed, 0
        self._rank, self._num_ranks = rank, num_ranks
        self._length = len(self._draw())
        self._given = self._skip = 0

    def __len__(self) -> int:
        """Batches of the current epoch; identities of unequal size make it vary a little from epoch to epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the current epoch, this rank's share of each; those given before a resume are left out."""
        share = self._identities // self._num_ranks * self._num_instances
        self._given, self._skip = self._skip, 0
        for batch in self._draw()[self._given :]:
            self._given += 1
            yield batch[self._rank * share : (self._rank + 1) * share].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch to draw; Lightning calls it before each epoch."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._length = len(self._draw())

    def state_dict(self) -> dict[str, int]:
        """How many batches of the current epoch were given; 0 once all were."""
        return {"given": self._given % self._length}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next pass leaves out the batches that were given before."""
        self._skip = state["given"]

    def _draw(self) -> list[IntArray]:
        random = np.random.default_rng([self._seed % 2**32, self._epoch])
        groups = [self._groups(rows, random) for rows in self._images]
        left = np.array([len(g) for g in groups])
        batches = []
        while (open_pids := np.flatnonzero(left)).size >= self._identities:
            chosen = random.choice(open_pids, self._identities, replace=False)
            left[chosen] -= 1
            batches.append(np.concatenate([groups[pid][left[pid]] for pid in chosen]))
        return batches

    def _groups(self, rows: IntArray, random: np.random.Generator) -> IntArray:
        """[n // K, K] disjoint groups of one identity's rows."""
        k = self._num_instances
        if len(rows) < k:
            return random.choice(rows, (1, k), replace=True)
        return random.permutation(rows)[: len(rows) // k * k].reshape(-1, k)


def _rows_by_pid(pids: npt.NDArray[np.int64]) -> list[IntArray]:
    order = np.argsort(pids, kind="stable")
    _, starts = np.unique(pids[order], return_index=True)
    return np.split(order, starts[1:])
