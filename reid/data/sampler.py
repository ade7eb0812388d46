"""P x K batches: P identities with K images each, drawn anew each epoch, without looking at global random state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reid.errors import DataError

IntArray = npt.NDArray[np.int64]


class PKSampler:
    """Draws the batches of an epoch, as a function of (seed, epoch) alone: an epoch can be drawn again after a resume.

    In an epoch each identity gives floor(n / K) groups of K different images (one group, drawn with replacement, when
    it has fewer than K). Batches take P identities with groups left, chosen uniformly, until fewer than P are left.
    With several ranks the batch is drawn once and split: each rank takes P / ranks whole identities of it.

    With `cameras` the groups of an identity are dealt like cards, one camera after the other: each group then has
    images of as many of its cameras as groups of different images allow, and of each camera as many as any other group,
    give or take one. Images left over (n mod K) are the surplus of the cameras with most of them. An identity of fewer
    than K images gives each of them before one is repeated.

    Args:
        pids: identity of each training image, [N].
        batch_size: images in one batch over all ranks, P * K.
        num_instances: images of each identity in a batch, K.
        seed: with the epoch, fixes the draw.
        cameras: camera of each training image, [N], to balance them; None to take images whatever their camera.
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
        cameras: Sequence[int] | None = None,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        labels = np.asarray(pids)
        self._rows = np.argsort(labels, kind="stable")  # [N], one identity after the other; see `identity`
        _, self._identity, self._counts = np.unique(labels[self._rows], return_inverse=True, return_counts=True)
        self._stratum = None if cameras is None else _strata(self._identity, np.asarray(cameras)[self._rows])
        self._identities, self._num_instances = batch_size // num_instances, num_instances
        if batch_size % num_instances or self._identities % num_ranks:
            raise DataError(
                f"batch_size {batch_size} with num_instances {num_instances} on {num_ranks} process(es)",
                "a batch is P identities of K images each, and each process takes whole identities",
                f"make the batch size a multiple of {num_instances * num_ranks}",
            )
        if len(self._counts) < self._identities:
            raise DataError(
                f"{len(self._counts)} identities to train on, and a batch needs {self._identities} "
                f"(batch_size {batch_size} / num_instances {num_instances})",
                "each identity may stand in a batch only once",
                f"set the batch size to at most {len(self._counts) * num_instances}, or add identities",
            )
        self._seed = seed
        self._rank, self._num_ranks = rank, num_ranks

    def draw(self, epoch: int) -> IntArray:
        """Row numbers of an epoch's batches, this rank's share of each: [batches, P * K / ranks].

        Identities of unequal size make the number of batches vary a little from epoch to epoch.
        """
        random = np.random.default_rng([self._seed % 2**32, epoch])
        groups_of = np.maximum(self._counts // self._num_instances, 1)  # by identity
        groups = self._groups(groups_of, random)
        batches = groups[_choose(groups_of, self._identities, random)]  # [batches, P, K]
        share = self._identities // self._num_ranks
        mine = batches[:, self._rank * share : (self._rank + 1) * share]
        return np.ascontiguousarray(mine.reshape(len(mine), share * self._num_instances))

    def _groups(self, groups_of: IntArray, random: np.random.Generator) -> IntArray:
        """Row numbers of all groups [G, K], those of one identity side by side."""
        k = self._num_instances
        order = self._shuffled(groups_of, random)
        owner = np.repeat(np.arange(len(groups_of)), groups_of)  # [G]
        number = np.arange(len(owner)) - (np.cumsum(groups_of) - groups_of)[owner]  # [G], within its identity
        slot = np.arange(k)[None, :]
        if self._stratum is None:
            place = number[:, None] * k + slot  # [G, K], within the shuffled identity
            repeated: IntArray | npt.NDArray[np.float64] = random.random((len(owner), k)) * self._counts[owner][:, None]
        else:
            place = number[:, None] + groups_of[owner][:, None] * slot
            repeated = slot % self._counts[owner][:, None]
        place = np.where((self._counts[owner] < k)[:, None], repeated, place).astype(np.int64)
        start = np.cumsum(self._counts) - self._counts
        rows: IntArray = self._rows[order[start[owner][:, None] + place]]
        return rows

    def _shuffled(self, groups_of: IntArray, random: np.random.Generator) -> npt.NDArray[np.intp]:
        """A random order of the images within each identity; balanced: camera by camera, what no group takes last."""
        chance = random.random(len(self._rows))
        if self._stratum is None:
            return np.lexsort((chance, self._identity))
        camera_chance = random.random(self._stratum.max() + 1)[self._stratum]
        turn = _rank_within(self._stratum, np.lexsort((chance, self._stratum)))  # 0 for one image of each camera
        in_turn = np.lexsort((camera_chance, turn, self._identity))
        surplus = _rank_within(self._identity, in_turn) >= (groups_of * self._num_instances)[self._identity]
        few = (self._counts < self._num_instances)[self._identity]  # these are repeated in turn, not dealt
        return np.lexsort((turn, camera_chance, np.where(few, turn, surplus), self._identity))


def _choose(groups_of: IntArray, identities: int, random: np.random.Generator) -> IntArray:
    """Numbers of the groups in each batch, [batches, P]: a partial Fisher-Yates shuffle of what is left, per batch."""
    left = groups_of.tolist()
    first = (np.cumsum(groups_of) - groups_of).tolist()
    open_ = list(range(len(left)))
    chosen: list[list[int]] = []
    for chances in random.random((sum(left) // identities, identities)).tolist():
        if len(open_) < identities:
            break
        for i, chance in enumerate(chances):
            j = i + int(chance * (len(open_) - i))
            open_[i], open_[j] = open_[j], open_[i]
        batch = []
        for identity in open_[:identities]:
            left[identity] -= 1
            batch.append(first[identity] + left[identity])
        for i in reversed(range(identities)):
            if not left[open_[i]]:
                open_[i] = open_[-1]
                open_.pop()
        chosen.append(batch)
    return np.array(chosen, dtype=np.int64).reshape(-1, identities)


def _strata(identity: IntArray, cameras: npt.NDArray[np.int64]) -> IntArray:
    """A number for each pair of identity and camera; numbers rise with the identity."""
    _, camera = np.unique(cameras, return_inverse=True)
    _, stratum = np.unique(identity * (camera.max() + 1) + camera, return_inverse=True)
    return stratum.astype(np.int64)


def _rank_within(group: IntArray, order: npt.NDArray[np.intp]) -> IntArray:
    """Place of each element among those of its group, in an `order` that keeps groups together and rising."""
    counts = np.bincount(group)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank
