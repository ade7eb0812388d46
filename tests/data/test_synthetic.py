"""The embedded sample: naming, subsets, determinism, difficulty, bad arguments."""

from __future__ import annotations

import io
import re
import resource
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid.actions.sample import sample
from reid.data.synthetic import QUERY, TEST, TRAIN, SampleCounts, generate
from reid.errors import DataError, StorageError

NAME = re.compile(r"^(-1|\d{4})_c(\d)s1_(\d{6})_00\.jpg$")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SampleCounts:
    """9 people (5 train, 4 test), 3 cameras, 3 images each."""
    out = tmp_path_factory.mktemp("sample")
    return generate(out, identities=9, cameras=3, images_per_camera=3, seed=5, workers=1)


def members(archive: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(archive) as tar:
        return tar.getmembers()


def labels(archive: Path) -> list[tuple[int, int]]:
    """(pid, camid) of each image, read from its name."""
    found = [NAME.match(member.name.split("/")[1]) for member in members(archive)]
    assert all(found)
    return [(int(match[1]), int(match[2])) for match in found if match]


def pictures(archive: Path) -> list[np.ndarray]:
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(member) for member in tar]
        return [np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")) for file in files if file]


def test_nine_people_in_three_cameras_three_times_make_45_train_12_query_and_24_gallery_images(small):
    assert (small.train, small.query, small.gallery) == (5 * 3 * 3, 4 * 3, 4 * 3 * 2)
    assert (small.train_identities, small.test_identities, small.cameras) == (5, 4, 3)
    assert len(members(small.archives[TRAIN])) == 45
    assert len(members(small.archives[QUERY])) == 12
    assert len(members(small.archives[TEST])) == 24 + small.junk + small.distractors


def test_names_follow_market_1501_and_each_archive_holds_one_folder_of_its_own_name(small):
    for name, archive in small.archives.items():
        assert archive.name == f"{name}.tar.gz"
        for member in members(archive):
            folder, file = member.name.split("/")
            assert folder == name
            assert NAME.match(file), file


def test_members_are_sorted_unique_and_carry_neither_time_nor_owner(small):
    for archive in small.archives.values():
        names = [member.name for member in members(archive)]
        assert names == sorted(set(names))
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members(archive)} == {
            (0, 0, 0, "", "", 0o644)
        }
        assert archive.read_bytes()[4:8] == b"\0\0\0\0", "gzip header has a time stamp"


def test_images_are_64_wide_128_high_colour_jpegs(small):
    with tarfile.open(small.archives[TEST]) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            image = Image.open(file)
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 128))


def test_train_and_test_identities_are_disjoint_and_train_has_no_junk(small):
    assert {pid for pid, _ in labels(small.archives[TRAIN])} == {1, 3, 5, 7, 9}
    assert {pid for pid, _ in labels(small.archives[QUERY])} == {2, 4, 6, 8}
    assert {pid for pid, _ in labels(small.archives[TEST])} == {-1, 0, 2, 4, 6, 8}


def test_gallery_has_the_counted_junk_and_distractors_in_every_camera(small):
    counts = Counter(labels(small.archives[TEST]))
    assert sum(counts[-1, camid] for camid in (1, 2, 3)) == small.junk > 0
    assert sum(counts[0, camid] for camid in (1, 2, 3)) == small.distractors > 0
    assert all(counts[pid, camid] for pid in (-1, 0) for camid in (1, 2, 3))


def test_every_query_has_a_match_from_another_camera_and_is_not_itself_in_the_gallery(small):
    gallery = set(labels(small.archives[TEST]))
    for pid, camid in labels(small.archives[QUERY]):
        assert any((pid, other) in gallery for other in (1, 2, 3) if other != camid)
    query_names = {member.name.split("/")[1] for member in members(small.archives[QUERY])}
    assert not query_names & {member.name.split("/")[1] for member in members(small.archives[TEST])}


def test_same_seed_gives_the_same_bytes_with_one_worker_and_with_two(small, tmp_path):
    again = generate(tmp_path, identities=9, cameras=3, images_per_camera=3, seed=5, workers=2)
    for name, archive in again.archives.items():
        assert archive.read_bytes() == small.archives[name].read_bytes()


def test_another_seed_gives_other_pictures(small, tmp_path):
    other = generate(tmp_path, identities=9, cameras=3, images_per_camera=3, seed=6, workers=1)
    mine, theirs = pictures(small.archives[TRAIN]), pictures(other.archives[TRAIN])
    assert not any(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_every_image_differs_from_every_other(small):
    images = [p.tobytes() for name in (TRAIN, TEST, QUERY) for p in pictures(small.archives[name])]
    assert len(images) == len(set(images))


def test_more_than_nine_cameras_keep_the_members_sorted_and_the_numbers_whole(tmp_path):
    counts = generate(tmp_path, identities=4, cameras=11, images_per_camera=2, seed=0, workers=1)
    names = [member.name for member in members(counts.archives[TRAIN])]
    assert names == sorted(names)
    assert {int(re.search(r"_c(\d+)s", name)[1]) for name in names} == set(range(1, 12))


def test_colour_histogram_finds_the_right_person_first_in_less_than_45_of_100_queries(tmp_path):
    counts = generate(tmp_path, identities=48, cameras=4, images_per_camera=3, seed=0, workers=1)
    query, gallery = counts.archives[QUERY], counts.archives[TEST]
    query_labels, gallery_labels = labels(query), labels(gallery)
    for stripes in (1, 6):
        query_histograms = [histogram(p, stripes) for p in pictures(query)]
        gallery_histograms = np.stack([histogram(p, stripes) for p in pictures(gallery)])
        hits = 0
        for (pid, camid), mine in zip(query_labels, query_histograms, strict=True):
            similarity = np.minimum(gallery_histograms, mine).sum(axis=1)
            allowed = [label[0] != -1 and label != (pid, camid) for label in gallery_labels]
            best = int(np.argmax(np.where(allowed, similarity, -1)))
            hits += gallery_labels[best][0] == pid
        assert hits / len(query_labels) < 0.45


def test_identities_are_told_apart_by_their_pictures_and_not_only_by_their_names(small):
    """Two images of one person in one camera are nearer, on average, than images of two people in that camera."""
    by_label: dict[tuple[int, int], list[np.ndarray]] = {}
    for label, picture in zip(labels(small.archives[TRAIN]), pictures(small.archives[TRAIN]), strict=True):
        by_label.setdefault(label, []).append(picture[24:104, 16:48].mean(axis=1))
    same, other = [], []
    for (pid, camid), images in by_label.items():
        same.append(np.abs(images[0] - images[1]).mean())
        other += [np.abs(images[0] - by_label[p, camid][1]).mean() for p in (1, 3, 5, 7, 9) if p != pid]
    assert np.mean(same) < 0.8 * np.mean(other)


def histogram(picture: np.ndarray, stripes: int) -> np.ndarray:
    """Joint 8 x 8 x 8 RGB histogram of each of `stripes` horizontal stripes; each sums to 1."""
    bins = (picture // 32).astype(np.int64) @ np.array([64, 8, 1])
    counts = [np.bincount(part.ravel(), minlength=512) / part.size for part in np.array_split(bins, stripes)]
    return np.concatenate(counts)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"identities": 3}, "identities is 3"),
        ({"cameras": 1}, "cameras is 1"),
        ({"images_per_camera": 1}, "images_per_camera is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_argument_out_of_bounds_is_named_with_the_least_value_and_nothing_is_written(tmp_path, wrong, message):
    arguments = {"identities": 4, "cameras": 2, "images_per_camera": 2, "seed": 0, "workers": 1} | wrong
    with pytest.raises(DataError, match=message) as raised:
        generate(tmp_path / "out", **arguments)
    assert "or more" in raised.value.fix
    assert not (tmp_path / "out").exists()


def test_a_file_system_that_takes_no_more_bytes_leaves_neither_archives_nor_temporary_files(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # EFBIG, which is treated as ENOSPC is
    try:
        with pytest.raises(StorageError, match="no space left"):
            generate(tmp_path, identities=8, cameras=2, images_per_camera=4, seed=0, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_sample_action_reports_counts_and_the_three_archives(tmp_path):
    result = sample(tmp_path, identities=4, cameras=2, images_per_camera=2, seed=1, workers=1)
    assert result.action == "sample"
    assert result.figures["train_images"] == 2 * 2 * 2
    assert result.figures["query_images"] == 2 * 2
    assert sorted(path.name for path in result.files.values()) == [
        "sample_query.tar.gz",
        "sample_test.tar.gz",
        "sample_train.tar.gz",
    ]
