"""Queries of two evaluations are paired by what tells them apart, and never by chance."""

from __future__ import annotations

import pytest

from reid.errors import DataError
from reid.retrieval.query_pairs import BY_ROW, ScoredQuery, pair_queries


def queries(*paths: str, pids: tuple[int, ...] = ()) -> list[ScoredQuery]:
    """Of identity 7 unless others are given, each with its place as rank, so that pairs can be read off."""
    labels = pids or (7,) * len(paths)
    return [ScoredQuery(path, pid, 1, rank, 0.5) for rank, (path, pid) in enumerate(zip(paths, labels, strict=True), 1)]


def ranks(a: list[ScoredQuery], b: list[ScoredQuery]) -> list[tuple[int | None, int | None]]:
    return [(one.first_match_rank, other.first_match_rank) for one, other in pair_queries(a, b)[0]]


def test_base_names_suffice_where_they_differ_whatever_the_folders() -> None:
    assert ranks(queries("/here/1.jpg", "/here/2.jpg"), queries("there/2.jpg", "there/1.jpg")) == [(1, 2), (2, 1)]


def test_equal_base_names_are_told_apart_by_the_folders_above_them() -> None:
    a = queries("/x/day0/1.jpg", "/x/day1/1.jpg")
    b = queries("/y/day1/1.jpg", "/y/day0/1.jpg")

    assert ranks(a, b) == [(1, 2), (2, 1)]


def test_equal_base_names_of_two_people_need_no_folder() -> None:
    a = queries("/x/s/1.jpg", "/x/t/1.jpg", pids=(1, 2))
    b = queries("/y/u/1.jpg", "/y/v/1.jpg", pids=(2, 1))

    assert ranks(a, b) == [(1, 2), (2, 1)]


def test_a_picture_that_is_a_query_twice_is_refused_and_named() -> None:
    twice, once = queries("day0/1.jpg", "day0/1.jpg"), queries("day0/1.jpg", "day1/1.jpg")

    with pytest.raises(
        DataError, match=r"2 queries of B are the picture day0/1\.jpg of identity 7 under camera 1"
    ) as of_b:
        pair_queries(once, twice)
    assert of_b.value.why
    assert of_b.value.fix
    with pytest.raises(DataError, match="2 queries of A are the picture"):
        pair_queries(twice, once)


def test_without_paths_rows_are_paired_and_that_is_said() -> None:
    pairs, notes = pair_queries(queries("", ""), queries("", ""))

    assert [(one.first_match_rank, other.first_match_rank) for one, other in pairs] == [(1, 1), (2, 2)]
    assert notes == (BY_ROW,)
    assert pair_queries(queries("1.jpg"), queries("1.jpg"))[1] == ()


def test_rows_of_other_people_are_not_paired() -> None:
    with pytest.raises(
        DataError, match=r"0 are the same by the row, identity and camera; .* identity 1 under camera 1"
    ):
        pair_queries(queries("", "", pids=(1, 2)), queries("", "", pids=(2, 1)))


def test_a_side_without_paths_is_not_paired_with_one_that_has_them() -> None:
    with pytest.raises(DataError, match="the queries of A have paths, and those of B have none"):
        pair_queries(queries("1.jpg", "2.jpg"), queries("", ""))
    with pytest.raises(DataError, match="the queries of B have paths, and those of A have none"):
        pair_queries(queries(""), queries("1.jpg"))
