"""P x K batches: what is in them, what repeats, and how several processes share them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from reid.data.sampler import PKSampler
from reid.errors import DataError

COUNTS = {0: 4, 1: 9, 2: 13, 3: 2, 4: 7, 5: 8}  # images of each identity; with K = 4: 1, 2, 3, 1, 1 and 2 groups
PIDS = [pid for pid, count in COUNTS.items() for _ in range(count)]


def sampler(**changes: int) -> PKSampler:
    return PKSampler(PIDS, **{"batch_size": 8, "num_instances": 4, "seed": 7, **changes})


def test_each_batch_holds_k_images_of_each_of_p_identities() -> None:
    for batch in sampler():
        assert Counter(Counter(PIDS[row] for row in batch).values()) == {4: 2}


def test_an_identity_of_13_images_gives_at_most_3_groups_without_a_repeated_image() -> None:
    rows = [row for batch in sampler() for row in batch if PIDS[row] == 2]

    assert len(rows) in (4, 8, 12)
    assert len(set(rows)) == len(rows)


def test_an_identity_with_fewer_than_k_images_repeats_some() -> None:
    drawn = [row for batch in sampler(batch_size=24) for row in batch if PIDS[row] == 3]

    assert len(drawn) == 4
    assert set(drawn) <= {26, 27}


def test_an_epoch_ends_when_fewer_than_p_identities_have_groups_left() -> None:
    # P = 6: each of the six gives one group, then identity 0 has none.
    assert len(list(sampler(batch_size=24))) == 1
    # P = 2: 10 groups make 5 batches, unless identity 2 is left alone at the end.
    lengths = set()
    for epoch in range(20):
        it = sampler()
        it.set_epoch(epoch)
        lengths.add(len(it))
        assert len(list(it)) == len(it)
    assert lengths <= {3, 4, 5}
    assert len(lengths) > 1


def test_epochs_differ_and_the_same_epoch_of_the_same_seed_does_not() -> None:
    first, again, other_seed = sampler(), sampler(), sampler(seed=8)
    epoch_0 = list(first)
    first.set_epoch(1)

    assert list(again) == epoch_0
    assert list(first) != epoch_0
    assert list(other_seed) != epoch_0
    first.set_epoch(0)
    assert list(first) == epoch_0


def test_numpys_global_random_state_is_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002

    list(sampler())

    assert np.random.rand() == expected  # noqa: NPY002


def test_two_processes_share_each_batch_of_one_process_by_whole_identities() -> None:
    whole = list(sampler(batch_size=16))
    halves = [list(sampler(batch_size=16, rank=rank, num_ranks=2)) for rank in (0, 1)]

    assert [left + right for left, right in zip(*halves, strict=True)] == whole
    assert {PIDS[row] for row in halves[0][0]}.isdisjoint(PIDS[row] for row in halves[1][0])


def test_processes_do_not_draw_the_same_batches_every_epoch() -> None:
    rank = sampler(batch_size=16, rank=1, num_ranks=2)
    before = list(rank)
    rank.set_epoch(1)

    assert list(rank) != before


def test_a_resumed_pass_gives_the_batches_that_were_not_given_before() -> None:
    whole = list(sampler())
    stopped = sampler()
    given = iter(stopped)
    begun = [next(given), next(given)]
    resumed = sampler()
    resumed.load_state_dict(stopped.state_dict())

    assert begun + list(resumed) == whole
    assert resumed.state_dict() == {"given": 0}
    assert list(resumed) == whole


def test_too_few_identities_are_refused_with_the_largest_batch_size_that_works() -> None:
    with pytest.raises(DataError, match=r"6 identities .* needs 7 .* at most 24"):
        sampler(batch_size=28)


@pytest.mark.parametrize(("batch_size", "num_ranks"), [(10, 1), (12, 2)])
def test_batches_that_cannot_be_split_into_whole_identities_are_refused(batch_size: int, num_ranks: int) -> None:
    with pytest.raises(DataError, match="whole identities"):
        sampler(batch_size=batch_size, num_ranks=num_ranks)
