"""The pack: the pixels of `load_image`, made once, whole or not there."""

from __future__ import annotations

import hashlib
import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reid.data.archives import open_folder
from reid.data.images import Interpolation, load_image
from reid.data.pack import Pack, pack_images
from reid.data.readers import read_market1501
from reid.errors import DataError, StorageError
from tests.data.helpers import jpeg, write_images


def names(count: int) -> list[str]:
    return [f"{pid:04d}_c1.jpg" for pid in range(1, count + 1)]


def pack(folder: Path, cache: Path, *, interpolation: Interpolation = "bilinear", height: int = 48) -> Pack:
    paths = sorted(folder.glob("*.jpg"))
    return pack_images(paths, height=height, width=24, interpolation=interpolation, cache_dir=cache)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_every_row_has_the_pixels_of_load_image(tmp_path: Path, interpolation: Interpolation) -> None:
    made = pack(write_images(tmp_path / "x", *names(70)), tmp_path / "cache", interpolation=interpolation)
    assert made.array.shape == (70, 48, 24, 3)
    for row, path in zip(made.array, made.paths, strict=True):
        assert np.array_equal(row, load_image(path, height=48, width=24, interpolation=interpolation))


def test_a_pack_of_middles_is_another_than_that_of_whole_images(tmp_path: Path) -> None:
    paths = sorted(write_images(tmp_path / "x", *names(3)).iterdir())
    whole = pack_images(paths, height=48, width=24, interpolation="bilinear", cache_dir=tmp_path)
    middles = pack_images(paths, height=48, width=24, interpolation="bilinear", cache_dir=tmp_path, resize=1.5)

    assert whole.file != middles.file
    for row, path in zip(middles.array, paths, strict=True):
        enlarged = load_image(path, height=72, width=36, interpolation="bilinear")
        assert np.array_equal(row, enlarged[12:60, 6:30])


def test_rows_follow_the_order_of_the_paths(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", *names(3))
    paths = [folder / names(3)[index] for index in (2, 0, 1)]
    shuffled = pack_images(paths, height=48, width=24, interpolation="bilinear", cache_dir=tmp_path / "cache")
    ordered = pack(folder, tmp_path / "cache")
    assert np.array_equal(shuffled.images([0, 1, 2]), ordered.images([2, 0, 1]))
    assert shuffled.file != ordered.file


def test_images_are_copies_in_memory(tmp_path: Path) -> None:
    made = pack(write_images(tmp_path / "x", *names(3)), tmp_path / "cache")
    batch = made.images(np.array([1, 1]))
    assert batch.shape == (2, 48, 24, 3)
    assert batch.dtype == np.uint8
    assert not isinstance(batch, np.memmap)
    batch[:] = 0
    assert made.array[1].any()
    assert len(made) == 3


def test_a_second_call_decodes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = write_images(tmp_path / "x", *names(3))
    first = pack(folder, tmp_path / "cache")
    inode = first.file.stat().st_ino
    assert pack(folder, tmp_path / "cache") == first
    assert first.file.stat().st_ino == inode
    assert caplog.text.count("decoded 3 images of 48x24") == 1


def test_another_size_rule_or_content_is_another_pack(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", *names(2))
    files = {pack(folder, tmp_path / "cache").file, pack(folder, tmp_path / "cache", height=32).file}
    files.add(pack(folder, tmp_path / "cache", interpolation="bicubic").file)
    (folder / "0001_c1.jpg").write_bytes(jpeg(77))
    files.add(pack(folder, tmp_path / "cache").file)
    assert len(files) == 4


def test_given_digests_lead_to_the_same_pack_as_computed_ones(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", *names(3))
    computed = pack(folder, tmp_path / "cache")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in computed.paths]
    given = pack_images(
        computed.paths, height=48, width=24, interpolation="bilinear", cache_dir=tmp_path / "cache", digests=digests
    )
    assert given == computed


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "no sidecar", "other shape"])
def test_a_damaged_pack_is_made_again_and_said_so(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_images(tmp_path / "x", *names(3))
    file = pack(folder, tmp_path / "cache").file
    expected = file.read_bytes()
    if damage == "flipped":
        file.write_bytes(expected[:-1] + bytes([expected[-1] ^ 1]))
    elif damage == "cut":
        file.write_bytes(expected[:-100])
    elif damage == "emptied":
        file.write_bytes(b"")
    elif damage == "no sidecar":
        file.with_suffix(".json").unlink()
    else:
        np.save(file, np.zeros((3, 2, 2, 3), dtype=np.uint8))
    pack(folder, tmp_path / "cache")
    assert file.read_bytes() == expected
    assert caplog.text.count("is damaged") == 1


def test_a_pack_is_read_through_again_only_when_the_file_is_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = write_images(tmp_path / "x", *names(70))
    file = pack(folder, tmp_path / "cache").file

    pack(folder, tmp_path / "cache")
    assert "verified" not in caplog.text  # who wrote it knows what is in it

    shutil.copytree(tmp_path / "cache", tmp_path / "copy")  # copies are other files
    for _ in range(2):
        pack(folder, tmp_path / "copy")
    assert caplog.text.count("verified 0.2 MB of decoded images") == 1

    file.touch()
    for _ in range(2):
        pack(folder, tmp_path / "cache")
    assert caplog.text.count("verified 0.2 MB of decoded images") == 2
    assert caplog.text.count("decoded 70 images") == 1


def test_damage_is_found_in_whatever_part_of_a_pack_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_images(tmp_path / "x", *names(70))  # checksums of 32, 32 and 6 rows
    file = pack(folder, tmp_path / "cache").file
    expected = file.read_bytes()
    for times, row in enumerate((0, 40, 69), start=1):
        at = len(expected) - (70 - row) * 48 * 24 * 3
        file.write_bytes(expected[:at] + bytes([expected[at] ^ 1]) + expected[at + 1 :])
        pack(folder, tmp_path / "cache")
        assert caplog.text.count("its checksum differs") == times
        assert file.read_bytes() == expected


def test_a_pack_is_small_to_send_and_maps_the_same_file(tmp_path: Path) -> None:
    made = pack(write_images(tmp_path / "x", *names(50)), tmp_path / "cache")
    assert made.array.nbytes == 50 * 48 * 24 * 3
    sent = pickle.dumps(made)
    assert len(sent) < 20_000
    assert np.array_equal(pickle.loads(sent).images([7]), made.images([7]))


BUILD = """
import logging, sys
from pathlib import Path
from reid.data.pack import pack_images
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
print(pack_images(paths, height=256, width=128, interpolation="bilinear", cache_dir=Path(sys.argv[2])).array.sum())
"""


def test_processes_that_want_the_same_pack_share_one(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", *names(300))
    command = [sys.executable, "-c", BUILD, str(folder), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate()[0] for process in running]
    assert len({text.splitlines()[-1] for text in told}) == 1
    assert "".join(told).count("decoded 300 images") == 1
    assert sorted(path.suffix for path in (tmp_path / "cache" / "packs").iterdir()) == [".json", ".lock", ".npy"]


def test_an_unreadable_image_is_named_and_no_pack_is_left(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", *names(40))
    (folder / "0033_c1.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0033_c1\.jpg is not a readable image"):
        pack(folder, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache" / "packs").iterdir()] == [".lock"]


def test_no_image_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image to decode"):
        pack(tmp_path, tmp_path / "cache")


LIMITED = """
import resource, sys
from pathlib import Path
from reid.data.pack import pack_images
from reid.errors import StorageError
paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    pack_images(paths, height=256, width=128, interpolation="bilinear", cache_dir=Path(sys.argv[2]))
except StorageError as error:
    print(error)
"""


def test_a_file_size_limit_is_an_error_and_not_a_killed_process(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", *names(8))
    command = [sys.executable, "-c", LIMITED, str(folder), str(tmp_path / "cache")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "no space left" in told
    assert "dataset.cache_dir" in told
    assert [path.suffix for path in (tmp_path / "cache" / "packs").iterdir()] == [".lock"]


def test_a_full_disk_is_an_error_and_not_a_killed_process(tmp_path: Path, tiny_disk: Path) -> None:
    folder = write_images(tmp_path / "x", *names(20))
    with pytest.raises(StorageError, match="no space left"):
        pack_images(sorted(folder.glob("*.jpg")), height=256, width=128, interpolation="bilinear", cache_dir=tiny_disk)
    assert [path.suffix for path in (tiny_disk / "packs").iterdir()] == [".lock"]


def test_the_pack_of_pku_train_has_992_rows(tmp_path: Path, pku: Path) -> None:
    folder = open_folder(pku / "sample_train.tar.gz", cache_dir=tmp_path, max_bytes=10**8)
    paths = [record.path for record in read_market1501(folder, name="train").records]
    made = pack_images(paths, height=128, width=64, interpolation="bilinear", cache_dir=tmp_path)
    assert made.array.shape == (992, 128, 64, 3)
    expected = load_image(paths[500], height=128, width=64, interpolation="bilinear")
    assert np.array_equal(made.images([500])[0], expected)
