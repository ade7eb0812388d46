"""P x K batches: what is in them, what repeats, how cameras mix, and how several processes share them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from reid.data.sampler import PKSampler
from reid.errors import DataError

COUNTS = {0: 4, 1: 9, 2: 13, 3: 2, 4: 7, 5: 8}  # images of each identity; with K = 4: 1, 2, 3, 1, 1 and 2 groups
PIDS = [pid for pid, count in COUNTS.items() for _ in range(count)]


def sampler(pids: Sequence[int] = PIDS, *, cameras: Sequence[int] | None = None, **changes: int) -> PKSampler:
    return PKSampler(pids, cameras=cameras, **{"batch_size": 8, "num_instances": 4, "seed": 7, **changes})


def batches(epoch: int = 0, **changes: int) -> list[list[int]]:
    return sampler(**changes).draw(epoch).tolist()


def test_each_batch_holds_k_images_of_each_of_p_identities() -> None:
    for batch in batches():
        assert Counter(Counter(PIDS[row] for row in batch).values()) == {4: 2}


def test_an_identity_of_13_images_gives_at_most_3_groups_without_a_repeated_image() -> None:
    rows = [row for batch in batches() for row in batch if PIDS[row] == 2]

    assert len(rows) in (4, 8, 12)
    assert len(set(rows)) == len(rows)


def test_an_identity_with_fewer_than_k_images_repeats_some() -> None:
    drawn = [row for batch in batches(batch_size=24) for row in batch if PIDS[row] == 3]

    assert len(drawn) == 4
    assert set(drawn) <= {26, 27}


def test_an_epoch_ends_when_fewer_than_p_identities_have_groups_left() -> None:
    # P = 6: each of the six gives one group, then identity 0 has none.
    assert len(batches(batch_size=24)) == 1
    # P = 2: 10 groups make 5 batches, unless identity 2 is left alone at the end.
    lengths = {len(batches(epoch)) for epoch in range(20)}
    assert lengths <= {3, 4, 5}
    assert len(lengths) > 1


def test_identities_with_groups_left_are_equally_likely_whatever_their_size() -> None:
    # The first batch of P = 2 out of six: each identity stands in a third of them.
    first = Counter(PIDS[row] for epoch in range(3000) for row in batches(epoch)[0][::4])

    assert all(900 < first[pid] < 1100 for pid in COUNTS)  # 3.9 standard deviations


def test_each_image_of_an_identity_is_as_likely_to_be_left_over() -> None:
    # Identity 1 has nine images and gives eight of them in an epoch of six groups at P = 6.
    drawn = Counter(row for epoch in range(4500) for row in batches(epoch, batch_size=24)[0] if PIDS[row] == 1)

    assert sum(drawn.values()) == 4 * 4500
    assert all(1850 < drawn[row] < 2150 for row in range(4, 13))  # 2000 expected, 4.5 standard deviations


def test_epochs_differ_and_the_same_epoch_of_the_same_seed_does_not() -> None:
    drawing = sampler()
    epoch_0 = drawing.draw(0).tolist()

    assert batches() == epoch_0
    assert drawing.draw(1).tolist() != epoch_0
    assert batches(seed=8) != epoch_0
    assert drawing.draw(0).tolist() == epoch_0


def test_numpys_global_random_state_is_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002

    batches()

    assert np.random.rand() == expected  # noqa: NPY002


@pytest.mark.parametrize("cameras", [None, [row % 3 for row in range(len(PIDS))]])
def test_two_processes_share_each_batch_of_one_process_by_whole_identities(cameras: list[int] | None) -> None:
    whole = sampler(batch_size=16, cameras=cameras).draw(3)
    halves = [sampler(batch_size=16, cameras=cameras, rank=rank, num_ranks=2).draw(3) for rank in (0, 1)]

    assert np.array_equal(np.concatenate(halves, axis=1), whole)
    for left, right in zip(*halves, strict=True):
        assert {PIDS[row] for row in left}.isdisjoint(PIDS[row] for row in right)


def test_processes_do_not_draw_the_same_batches_every_epoch() -> None:
    rank = sampler(batch_size=16, rank=1, num_ranks=2)

    assert rank.draw(0).tolist() != rank.draw(1).tolist()


def test_too_few_identities_are_refused_with_the_largest_batch_size_that_works() -> None:
    with pytest.raises(DataError, match=r"6 identities .* needs 7 .* at most 24"):
        sampler(batch_size=28)


@pytest.mark.parametrize(("batch_size", "num_ranks"), [(10, 1), (12, 2)])
def test_batches_that_cannot_be_split_into_whole_identities_are_refused(batch_size: int, num_ranks: int) -> None:
    with pytest.raises(DataError, match="whole identities"):
        sampler(batch_size=batch_size, num_ranks=num_ranks)


def cameras_of_groups(counts: dict[str, int], *, epoch: int = 0) -> list[Counter[str]]:
    """The cameras in each group of four of one identity that has so many images by each camera."""
    cameras = [camera for camera, count in counts.items() for _ in range(count)]
    numbers = [sorted(counts).index(camera) for camera in cameras]
    other = [1] * len(cameras)  # a second identity of as many images: P = 2 needs one
    drawn = sampler([0] * len(cameras) + other, cameras=numbers + numbers).draw(epoch)
    groups = [row for batch in drawn.tolist() for row in (batch[:4], batch[4:]) if row[0] < len(cameras)]
    assert len({row for group in groups for row in group}) == min(4 * len(groups), len(cameras))  # disjoint
    return [Counter(cameras[row] for row in group) for group in groups]


def test_balanced_groups_take_one_image_of_each_of_four_cameras() -> None:
    for epoch in range(5):
        assert cameras_of_groups({"a": 2, "b": 2, "c": 2, "d": 2}, epoch=epoch) == [Counter("abcd")] * 2


def test_a_rare_camera_is_spread_over_the_groups() -> None:
    for epoch in range(5):
        assert cameras_of_groups({"a": 2, "b": 6}, epoch=epoch) == [Counter("abbb")] * 2
        uneven = cameras_of_groups({"a": 1, "b": 7}, epoch=epoch)
        assert sorted("".join(sorted(group.elements())) for group in uneven) == ["abbb", "bbbb"]


def test_images_left_over_are_of_the_camera_with_most_of_them() -> None:
    # Eleven images make two groups of four: both of a, and six of the nine of b.
    for epoch in range(5):
        assert cameras_of_groups({"a": 2, "b": 9}, epoch=epoch) == [Counter("abbb")] * 2


def test_more_cameras_than_k_give_k_different_ones_and_others_each_epoch() -> None:
    seen = [frozenset(cameras_of_groups(dict.fromkeys("abcdef", 1), epoch=epoch)[0]) for epoch in range(8)]

    assert {len(cameras) for cameras in seen} == {4}
    assert len(set(seen)) > 1


def test_an_identity_of_three_images_by_two_cameras_gives_all_of_them_once_before_one_twice() -> None:
    for epoch in range(5):
        (group,) = cameras_of_groups({"a": 1, "b": 2}, epoch=epoch)
        assert group in (Counter("aabb"), Counter("abbb"))


def test_in_a_balanced_draw_the_images_of_a_camera_are_mixed_anew_each_epoch() -> None:
    pids, cameras = [0] * 16 + [1] * 16, [*([0] * 8 + [1] * 8)] * 2
    partners = set()
    for epoch in range(200):
        for batch in sampler(pids, cameras=cameras).draw(epoch).tolist():
            partners |= {row for group in (batch[:4], batch[4:]) if 0 in group for row in group}

    assert partners == set(range(16))  # image 0 has stood beside every image of its identity


def test_a_balanced_draw_without_cameras_to_tell_apart_is_still_a_p_x_k_draw() -> None:
    for batch in sampler(cameras=[5] * len(PIDS)).draw(0).tolist():
        assert Counter(Counter(PIDS[row] for row in batch).values()) == {4: 2}


def test_an_epoch_of_100_000_images_of_20_000_people_is_drawn_within_two_seconds() -> None:
    random = np.random.default_rng(0)
    pids = np.concatenate([np.arange(20_000), random.integers(0, 20_000, 80_000)]).tolist()
    started = time.perf_counter()

    drawn = sampler(pids, cameras=random.integers(0, 6, 100_000).tolist(), batch_size=64).draw(0)

    assert time.perf_counter() - started < 2  # measured 0.1 s; quadratic work would take 20 s
    assert len(drawn) > 1000
