"""Class folders: which images are of which class, by which number and name, and what a stranger is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reid.data.archives import open_folder
from reid.data.checks import check, usable
from reid.data.class_folders import read_class_folders
from reid.data.class_map import read_class_map
from reid.data.records import Subset
from reid.data.requirements import require_referenced, require_trainable
from reid.errors import DataError
from tests.data.helpers import jpeg, write_images, write_tar

GROCERY = Path(__file__).parents[2] / ".." / "shared" / "data" / "grocery"


def folders(root: Path, **classes: int) -> Path:
    """Class folders with numbers of different images."""
    for place, (name, count) in enumerate(classes.items()):
        write_images(root / name, *(f"{number}.jpg" for number in range(count)), first_seed=100 * place)
    return root


def read(root: Path, **options: object) -> Subset:
    return read_class_folders({"train": root}, **options)["train"]  # type: ignore[arg-type]


def labels(subset: Subset) -> list[tuple[str, int, str]]:
    return [(r.path.name, r.pid, subset.classes[r.pid]) for r in subset.records]


def test_classes_are_numbered_from_1_in_sorted_order_of_their_folders(tmp_path: Path) -> None:
    subset = read(folders(tmp_path, pear=1, apple=2))

    assert labels(subset) == [("0.jpg", 1, "apple"), ("1.jpg", 1, "apple"), ("0.jpg", 2, "pear")]
    assert {record.camid for record in subset.records} == {0}


def test_a_number_means_one_class_in_all_subsets_read_together(tmp_path: Path) -> None:
    query, gallery = folders(tmp_path / "q", cherry=1), folders(tmp_path / "g", banana=1, apple=1, cherry=1)

    subsets = read_class_folders({"query": query, "gallery": gallery})

    assert subsets["gallery"].classes == {1: "apple", 2: "banana", 3: "cherry"}
    assert (subsets["query"].classes, subsets["query"].pids) == ({3: "cherry"}, (3,))


def test_images_anywhere_below_a_class_folder_are_of_its_class(tmp_path: Path) -> None:
    folders(tmp_path, apple=1, pear=1)
    write_images(tmp_path / "apple" / "shop" / "2021", "deep.PNG")

    assert labels(read(tmp_path)) == [("0.jpg", 1, "apple"), ("deep.PNG", 1, "apple"), ("0.jpg", 2, "pear")]


def test_what_is_no_image_of_a_class_is_counted_and_never_learnt(tmp_path: Path) -> None:
    folders(tmp_path, apple=1, pear=1)
    write_images(tmp_path, "loose.jpg", "LICENSE")
    write_images(tmp_path / "apple", "notes.txt", "._0.jpg")
    write_images(tmp_path / "pear" / ".ipynb_checkpoints", "0-checkpoint.jpg")
    write_images(tmp_path / ".cache", "0.jpg")

    subset = read(tmp_path)

    assert len(subset.records) == 2
    assert [path.name for path in subset.unmatched] == ["loose.jpg"]
    assert subset.foreign == ("LICENSE", "apple/._0.jpg", "apple/notes.txt")


def test_a_folder_around_the_class_folders_stands_for_them(tmp_path: Path) -> None:
    folders(tmp_path / "archive" / "train", apple=1, pear=1)
    write_images(tmp_path / "__MACOSX", "._0.jpg")
    (tmp_path / "archive" / "README").touch()

    subset = read(tmp_path)

    assert subset.root == tmp_path / "archive" / "train"
    assert list(subset.classes.values()) == ["apple", "pear"]


def test_one_folder_full_of_images_is_one_class_and_no_wrapping(tmp_path: Path) -> None:
    folders(tmp_path, apple=2)
    write_images(tmp_path / "apple" / "more", "x.jpg")

    subset = read(tmp_path)

    assert (subset.root, subset.classes, len(subset.records)) == (tmp_path, {1: "apple"}, 3)


def test_a_link_to_a_class_folder_is_read_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    folders(tmp_path / "store", apple=1, pear=1)
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for name in ("apple", "pear"):
        (chosen / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "pear" / "round").symlink_to(tmp_path / "store" / "pear")

    assert labels(read(chosen)) == [("0.jpg", 1, "apple"), ("0.jpg", 2, "pear")]


def test_an_empty_class_folder_is_refused_by_name(tmp_path: Path) -> None:
    folders(tmp_path, apple=1, pear=1)
    (tmp_path / "plum").mkdir()
    (tmp_path / "quince").mkdir()
    (tmp_path / "quince" / "notes.txt").touch()

    with pytest.raises(DataError, match=r"of the 4 class folders .* 2 hold no image: plum, quince"):
        read(tmp_path)


def test_a_folder_of_images_without_classes_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")

    with pytest.raises(DataError, match="holds no class folder, but 2 images"):
        read(tmp_path)


def test_a_class_of_which_no_image_can_be_read_is_refused_by_name(tmp_path: Path) -> None:
    folders(tmp_path, apple=2, pear=1)
    (tmp_path / "apple" / "0.jpg").write_bytes(b"no image")
    subset = read(tmp_path)
    assert len(usable(subset, check(subset)).records) == 2
    (tmp_path / "pear" / "0.jpg").write_bytes(b"no image")

    with pytest.raises(DataError, match=r"no image of pear in the train folder .* can be read: 0\.jpg"):
        check(subset)


def test_the_report_of_classes_counts_no_cameras(tmp_path: Path) -> None:
    query, gallery = folders(tmp_path / "q", apple=1, plum=2), folders(tmp_path / "g", apple=2, pear=1)

    report = check(*read_class_folders({"query": query, "gallery": gallery}).values())

    assert (report["gallery"].images, report["gallery"].identities, report["gallery"].single_camera) == (3, 2, ())
    assert report["query"].classes == {"apple": 1, "plum": 2}
    assert report.to_dict()["subsets"]["gallery"]["classes"] == {"apple": 2, "pear": 1}
    assert report.across is not None
    assert (report.across.missing_identities, report.across.single_camera) == ((3,), ())
    assert report.across.without_match == ("0.jpg", "1.jpg")


def test_the_fingerprint_is_that_of_the_archive_and_changes_when_an_image_changes_its_class(tmp_path: Path) -> None:
    folder = folders(tmp_path / "folder", apple=2, pear=1)
    members = {f"x/{path.relative_to(folder)}": path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}
    archive = write_tar(tmp_path / "a.tar.gz", members)
    opened = open_folder(archive, cache_dir=tmp_path / "cache", max_bytes=10**6)

    def fingerprint(root: Path) -> str:
        return check(read(root))["train"].fingerprint

    before = fingerprint(folder)
    assert fingerprint(opened) == before
    (folder / "apple" / "1.jpg").rename(folder / "pear" / "1.jpg")
    assert fingerprint(folder) != before


def test_training_needs_two_classes_and_names_the_only_one(tmp_path: Path) -> None:
    train = read(folders(tmp_path, apple=4))

    with pytest.raises(DataError, match=r"has 1 class apple \(4 images\)\. .* needs 2 classes"):
        require_trainable(train, batch_size=8, num_instances=4, batch_key="train.batch_size")


def test_a_batch_of_one_class_is_refused_with_the_key_to_change(tmp_path: Path) -> None:
    train = read(folders(tmp_path, apple=4, pear=4))

    require_trainable(train, batch_size=8, num_instances=4, batch_key="train.batch_size")
    with pytest.raises(DataError, match=r"train\.batch_size 4 .* one class in a batch.* set train\.batch_size=8"):
        require_trainable(train, batch_size=4, num_instances=4, batch_key="train.batch_size")


def test_more_classes_in_a_batch_than_there_are_says_what_fits(tmp_path: Path) -> None:
    train = read(folders(tmp_path, apple=1, pear=1))

    with pytest.raises(DataError, match=r"has 2 classes .* needs 4 classes.* set train\.batch_size=8"):
        require_trainable(train, batch_size=16, num_instances=4, batch_key="train.batch_size")


def test_query_classes_without_reference_are_refused_by_name(tmp_path: Path) -> None:
    query, gallery = folders(tmp_path / "q", apple=1, plum=2, quince=1), folders(tmp_path / "g", apple=2, pear=1)
    subsets = read_class_folders({"query": query, "gallery": gallery})

    with pytest.raises(DataError, match=r"2 classes of the query folder .* have no image .*: plum, quince"):
        require_referenced(subsets["query"], subsets["gallery"])
    require_referenced(subsets["gallery"], subsets["gallery"])


def test_a_class_map_of_yaml_gives_the_names_and_keeps_the_numbers(tmp_path: Path) -> None:
    folders(tmp_path / "data", **{"001": 1, "no": 1})
    (tmp_path / "map").write_text("no: Aubergine\n001: Zucchini\n")

    subset = read(tmp_path / "data", class_map=read_class_map(tmp_path / "map"))

    assert subset.classes == {1: "Zucchini", 2: "Aubergine"}  # 001 is text, and `no` is no Boolean


@pytest.mark.parametrize(
    "text", ["Zucchini\n\n Granny Smith \n", "- Zucchini\n- Granny Smith\n", "\ufeffZucchini\r\nGranny Smith\r\n"]
)
def test_the_lines_of_a_class_map_name_the_folders_in_sorted_order(tmp_path: Path, text: str) -> None:
    folders(tmp_path / "data", b=1, a=1)
    (tmp_path / "map.txt").write_text(text)

    subset = read(tmp_path / "data", class_map=read_class_map(tmp_path / "map.txt"))

    assert subset.classes == {1: "Zucchini", 2: "Granny Smith"}


def test_a_class_map_may_name_classes_that_are_not_there_as_one_map_serves_training_and_evaluation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders(tmp_path, apple=1, pear=1)

    with caplog.at_level("INFO", "reid.data.class_map"):
        subset = read(tmp_path, class_map={"apple": "A", "pear": "B", "plum": "C"})

    assert subset.classes == {1: "A", 2: "B"}
    assert "further classes of the class map have no folder here: plum" in caplog.text


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        ({"apple": "A"}, "no entry for pear"),
        ({"apple": "A", "paer": "B"}, "no entry for pear, and names paer, of which there is no folder"),
        (("A",), "names 1 classes, and there are 2 class folders.* no name is left for pear"),
        (("A", "B", "C"), "no folder is left for C"),
    ],
)
def test_a_class_map_that_misses_a_class_is_refused_and_so_are_lines_of_another_number(
    tmp_path: Path, class_map: object, message: str
) -> None:
    folders(tmp_path, apple=1, pear=1)

    with pytest.raises(DataError, match=message):
        read(tmp_path, class_map=class_map)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a: Apple\nb: Apple\n", "the name Apple more than once"),
        ("a: Apple\na: Pear\n", "the folder a more than once"),
        ("Apple\nPear\nApple\n", "the name Apple more than once"),
        ("a: Apple\nb:\n", "no name, in line 2"),
        ("a: [Apple, Pear]\n", "no name, in line 1"),
        ("a: Apple\n b: Pear: x\n", "not valid YAML"),
    ],
)
def test_a_class_map_that_means_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.yaml").write_text(text)

    with pytest.raises(DataError, match=message):
        read_class_map(tmp_path / "map.yaml")


def test_a_missing_class_map_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt cannot be read"):
        read_class_map(tmp_path / "gone.txt")


def test_the_grocery_set_has_its_published_counts(tmp_path: Path) -> None:
    if not GROCERY.is_dir():
        pytest.skip("the grocery archives are not at ../shared/data/grocery")
    opened = {
        name: open_folder(GROCERY / "known_classes" / f"{part}.tar.gz", cache_dir=tmp_path, max_bytes=10**8)
        for name, part in {"train": "train", "gallery": "reference", "query": "val"}.items()
    }

    subsets = read_class_folders(opened)

    assert [len(subset.records) for subset in subsets.values()] == [864, 210, 215]  # one name stands twice
    assert subsets["train"].classes == subsets["query"].classes == subsets["gallery"].classes
    assert len(subsets["train"].pids) == 54
    require_referenced(subsets["query"], subsets["gallery"])


def test_bytes_are_compared_across_subsets_whatever_the_class(tmp_path: Path) -> None:
    train, gallery = folders(tmp_path / "t", apple=1), folders(tmp_path / "g", pear=1)
    (train / "apple" / "copy.jpg").write_bytes(jpeg(7))
    (gallery / "pear" / "original.jpg").write_bytes(jpeg(7))
    subsets = read_class_folders({"train": train, "query": gallery, "gallery": gallery})

    across = check(*subsets.values()).across

    assert across is not None
    assert (train / "apple" / "copy.jpg", gallery / "pear" / "original.jpg") in across.train_test_duplicates
