"""What the command line makes of figures and of a check of class folders."""

import numpy as np
import pytest
from PIL import Image

from reid.actions.result import ActionResult
from reid.cli.dataset_table import across_rows, notes, subset_rows
from reid.cli.output import print_result
from reid.data.checks import check
from reid.data.class_folders import read_class_folders


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("val Precision at Rank 1", 0.8125, "81.2 %"),
        ("test Mean Average Precision", 0.5, "50.0 %"),
        ("test r-Precision", 0.25, "25.0 %"),
        ("cmc_rank_1", 0.875, "87.5 %"),
        ("test Mean Reciprocal Rank", 0.75, "0.7500"),
        ("val_AMI", 0.5, "0.5000"),
        ("images", 1200, "1,200"),
    ],
)
def test_precision_is_shown_in_per_cent_and_all_other_fractions_as_they_are(tmp_path, capsys, name, value, shown):
    print_result(ActionResult("evaluate", tmp_path, {name: value}), as_json=False)
    assert shown in capsys.readouterr().out


@pytest.fixture
def report(tmp_path):
    """Two classes in each subset: of 3 and 1 training images, one loose image, one other file."""
    counts = {"train": {"apple": 3, "pear": 1}, "query": {"apple": 1}, "gallery": {"apple": 1, "pear": 1}}
    colour = 0
    for name, classes in counts.items():
        for label, count in classes.items():
            (tmp_path / name / label).mkdir(parents=True)
            for index in range(count):
                colour += 1
                pixels = np.full((8, 8, 3), 9 * colour, np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{index}.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "loose.png")
    (tmp_path / "train" / "readme.txt").write_text("fruit")
    subsets = read_class_folders({name: tmp_path / name for name in counts})
    return check(*subsets.values(), on_bad_image="error", workers=1)


def test_the_table_of_class_folders_counts_classes_and_knows_no_cameras(report):
    rows = {fact: cells for fact, *cells in subset_rows(report)}
    assert rows["images"] == ["5", "1", "2"]
    assert rows["in a class folder"] == ["4", "1", "2"]
    assert rows["classes"] == ["2", "1", "2"]
    assert rows["images of the smallest class"] == ["1", "1", "1"]
    assert rows["images of the largest class"] == ["3", "1", "1"]
    assert rows["beside the class folders"] == ["1", "0", "0"]
    assert not any("camera" in fact for fact in rows)
    across = dict(across_rows(report))
    assert across["query classes without a reference"] == "0"
    assert not any("camera" in fact for fact in across)


def test_the_notes_of_class_folders_name_what_is_odd_and_the_smallest_classes(report):
    lines = list(notes(report))
    assert "  images beside the class folders: loose.png" in lines
    assert "  other files: readme.txt" in lines
    assert "  smallest classes: pear (1), apple (3)" in lines
