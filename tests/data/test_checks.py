"""Checks of a data set, on folders small enough to count by hand."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest

from reid.data.archives import open_folder
from reid.data.checks import check, usable
from reid.data.readers import read_market1501
from reid.data.records import Subset
from reid.data.requirements import require_evaluable, require_trainable
from reid.errors import DataError
from tests.data.helpers import jpeg, write_images, write_tar


def subset(folder: Path, name: str, *names: str, first_seed: int) -> Subset:
    return read_market1501(write_images(folder / name, *names, first_seed=first_seed), name=name)


@pytest.fixture
def market(tmp_path: Path) -> tuple[Subset, Subset, Subset]:
    """Query 1 is seen elsewhere, 2 by its own camera only, 3 not at all; 0 and -1 take no part."""
    train = subset(tmp_path, "train", "7_c1.jpg", "7_c2.jpg", "8_c1.jpg", "8_c1b.jpg", "notes.txt", first_seed=0)
    query = subset(tmp_path, "query", "1_c1.jpg", "2_c1.jpg", "3_c1.jpg", first_seed=10)
    gallery = subset(
        *(tmp_path, "gallery", "1_c2.jpg", "1_c12.jpg", "2_c1x.jpg", "0000_c1.jpg", "-1_c1.jpg", "hello.jpg"),
        first_seed=20,
    )
    return train, query, gallery


def test_the_figures_of_each_subset(market: tuple[Subset, Subset, Subset]) -> None:
    report = check(*market)
    train, gallery = report["train"], report["gallery"]
    assert (train.images, train.labelled, train.identities, train.cameras) == (4, 4, 2, (1, 2))
    assert (train.foreign, train.single_camera) == (("notes.txt",), (8,))
    assert (gallery.images, gallery.labelled, gallery.identities, gallery.cameras) == (6, 4, 2, (1, 2, 12))
    assert (gallery.junk, gallery.distractors, gallery.unmatched) == (1, 1, ("hello.jpg",))


def test_what_shows_only_across_subsets(market: tuple[Subset, Subset, Subset]) -> None:
    across = check(*market).across
    assert across is not None
    assert across.queries == 3
    assert across.missing_identities == (3,)
    assert across.without_match == ("2_c1.jpg", "3_c1.jpg")
    assert across.single_camera == (2, 3)
    assert across.query_gallery_duplicates == ()


def test_files_with_the_same_bytes_are_found_whatever_their_names(market: tuple[Subset, Subset, Subset]) -> None:
    train, query, gallery = market
    copied = query.root / "9_c3.jpg"
    copied.write_bytes((gallery.root / "1_c2.jpg").read_bytes())
    (train.root / "99_c1.jpg").write_bytes((gallery.root / "2_c1x.jpg").read_bytes())
    report = check(*(read_market1501(part.root, name=part.name) for part in market))
    assert report.across is not None
    assert report.across.query_gallery_duplicates == ((copied, gallery.root / "1_c2.jpg"),)
    assert report.across.train_test_duplicates == ((train.root / "99_c1.jpg", gallery.root / "2_c1x.jpg"),)


def test_the_report_is_strict_json(market: tuple[Subset, Subset, Subset]) -> None:
    values = json.loads(json.dumps(check(*market).to_dict(), allow_nan=False))
    assert values["subsets"]["gallery"]["unmatched"] == {"count": 1, "first": ["hello.jpg"]}
    assert values["across"]["queries_without_match"] == {"count": 2, "first": ["2_c1.jpg", "3_c1.jpg"]}


def test_a_training_set_alone_has_no_cross_report(market: tuple[Subset, Subset, Subset]) -> None:
    assert check(market[0]).across is None


def test_digests_are_the_sha256_of_the_files(market: tuple[Subset, Subset, Subset]) -> None:
    path = market[0].records[0].path
    assert check(market[0]).digests[path] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_fingerprint_is_the_same_from_a_folder_and_its_archive_and_changes_with_one_byte(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "folder", "1_c1.jpg", "2_c1.jpg")
    archive = write_tar(tmp_path / "a.tar.gz", {f"x/{path.name}": path.read_bytes() for path in folder.iterdir()})
    opened = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=10**6)

    def fingerprint(root: Path) -> str:
        return check(read_market1501(root, name="train"))["train"].fingerprint

    before = fingerprint(folder)
    assert fingerprint(opened) == before
    (folder / "1_c1.jpg").write_bytes(jpeg(99))
    assert fingerprint(folder) != before


def test_an_unreadable_image_is_named_counted_and_left_out(market: tuple[Subset, Subset, Subset]) -> None:
    train = market[0]
    (train.root / "7_c1.jpg").write_bytes(jpeg(1)[:300])
    report = check(*market)
    assert list(report["train"].unreadable) == [train.root / "7_c1.jpg"]
    assert (report["train"].images, report["train"].labelled) == (4, 3)
    assert [record.path.name for record in usable(train, report).records] == ["7_c2.jpg", "8_c1.jpg", "8_c1b.jpg"]
    assert list(report.to_dict()["subsets"]["train"]["unreadable"]) == ["7_c1.jpg"]


def test_an_unreadable_query_takes_no_part_in_the_cross_report(market: tuple[Subset, Subset, Subset]) -> None:
    (market[1].root / "3_c1.jpg").write_bytes(b"")
    report = check(*market)
    assert report.across is not None
    assert (report.across.queries, report.across.missing_identities) == (2, ())


def test_an_unreadable_image_is_refused_when_asked_to(market: tuple[Subset, Subset, Subset]) -> None:
    (market[0].root / "7_c1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 4 images of the train folder .* cannot be read: 7_c1\.jpg"):
        check(*market, on_bad_image="error")


def test_messages_name_an_unreadable_image_once(
    market: tuple[Subset, Subset, Subset], caplog: pytest.LogCaptureFixture
) -> None:
    (market[0].root / "7_c1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError) as refused:
        check(*market, on_bad_image="error")
    assert refused.value.found.count("7_c1.jpg") == 1
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.count("7_c1.jpg") == 1


def test_a_file_that_vanished_is_unreadable_and_not_a_crash(market: tuple[Subset, Subset, Subset]) -> None:
    (market[0].root / "7_c1.jpg").unlink()
    assert "cannot be opened" in check(*market)["train"].unreadable[market[0].root / "7_c1.jpg"]


def test_a_subset_without_one_readable_image_is_refused_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "1_c1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="no image would be left"):
        check(read_market1501(tmp_path, name="train"))


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    train = subset(tmp_path, "train", *(f"{pid}_c1.jpg" for pid in range(1, 150)), first_seed=0)
    assert check(train, workers=1) == check(train, workers=4)


def test_2_identities_fill_a_batch_of_8_with_4_images_each_but_not_one_of_12(
    market: tuple[Subset, Subset, Subset],
) -> None:
    require_trainable(market[0], batch_size=8, num_instances=4)
    with pytest.raises(DataError, match=r"has 2 identities .* needs 3.* dataset\.batch_size=8"):
        require_trainable(market[0], batch_size=12, num_instances=4)


@pytest.mark.parametrize(
    ("classes", "gpus", "share", "fix"),
    [
        (5, 1, 1, "add some, or set batch=20"),
        (5, 2, 1, "add some, or set batch=16"),  # 2 of each GPU
        (4, 2, 2, "add some, or set batch=8"),  # of each GPU: 2 classes there, 4 in all
        (5, 2, 2, "add some, or set batch=8"),
        (3, 4, 4, "add some, or train on at most 3 GPUs (train.num_gpus)"),
    ],
)
def test_too_few_identities_for_a_batch_of_several_gpus_are_told_a_batch_that_fits(
    tmp_path: Path, classes: int, gpus: int, share: int, fix: str
) -> None:
    train = subset(tmp_path, "train", *(f"{pid}_c1.jpg" for pid in range(1, classes + 1)), first_seed=0)

    with pytest.raises(DataError) as refused:
        require_trainable(train, batch_size=32, num_instances=4, batch_key="batch", gpus=gpus, batch_share=share)

    assert refused.value.fix == fix
    across = f" on {gpus} GPUs" if gpus > 1 else ""
    assert refused.value.why == f"a batch of 32 images{across}, 4 of each, needs 8 identities"


def test_distractors_are_no_identity_to_train_on(tmp_path: Path) -> None:
    train = subset(tmp_path, "train", "0_c1.jpg", "1_c1.jpg", first_seed=0)
    with pytest.raises(DataError, match="has 1 identity "):
        require_trainable(train, batch_size=8, num_instances=4)


def test_one_query_with_a_match_is_enough(market: tuple[Subset, Subset, Subset]) -> None:
    require_evaluable(market[1], market[2])


def test_a_test_set_of_one_camera_says_that_the_camera_is_the_reason(tmp_path: Path) -> None:
    query = subset(tmp_path, "query", "1_c1.jpg", "2_c1.jpg", first_seed=0)
    gallery = subset(tmp_path, "gallery", "1_c1x.jpg", "2_c1x.jpg", "3_c1x.jpg", first_seed=10)
    with pytest.raises(DataError, match=r"2 queries .* 3 gallery images .* 2 identities are in both.*camids: 1\)"):
        require_evaluable(query, gallery)


def test_a_test_set_of_strangers_says_who_is_where(tmp_path: Path) -> None:
    query = subset(tmp_path, "query", "1_c1.jpg", first_seed=0)
    gallery = subset(tmp_path, "gallery", *(f"{pid}_c2.jpg" for pid in range(5, 9)), first_seed=10)
    with pytest.raises(DataError, match=r"the queries have 1 \(1\), the gallery 4 \(5, 6, 7, \.\.\.\)"):
        require_evaluable(query, gallery)


def test_pku_queries_stand_in_the_gallery_too_and_each_still_has_a_match(tmp_path: Path, pku: Path) -> None:
    parts = {"train": "train", "query": "query", "gallery": "test"}
    subsets = [
        read_market1501(open_folder(pku / f"sample_{part}.tar.gz", cache_dir=tmp_path, max_bytes=10**8), name=name)
        for name, part in parts.items()
    ]
    report = check(*subsets, on_bad_image="error")
    assert [(part.labelled, part.identities) for part in report.subsets] == [(992, 62), (48, 12), (192, 12)]
    assert report.across is not None
    assert len(report.across.query_gallery_duplicates) == 48
    assert report.across.without_match == ()
    assert report.across.train_test_duplicates == ()
    require_trainable(subsets[0], batch_size=64, num_instances=4)
    require_evaluable(subsets[1], subsets[2])
