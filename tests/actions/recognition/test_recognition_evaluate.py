"""`evaluate` and `select` of classes: figures over classes or queries, tables by class, pages with names."""

from __future__ import annotations

import ast
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reid.actions.evaluate import evaluate
from reid.actions.select import select
from reid.errors import DataError
from tests.actions.helpers import names
from tests.actions.recognition.conftest import KNOWN, QUERIES, REFERENCES, MakeSpec, Places, draw_blob

PLAIN = ("evaluate.report=false", "evaluate.bootstrap=0")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def test_the_figures_are_the_means_of_the_table_by_class(measured: Path) -> None:
    rows = table(measured / "per_class.csv")
    assert [row["class"] for row in rows] == sorted(KNOWN)
    assert {(int(row["references"]), int(row["queries"])) for row in rows} == {(REFERENCES, QUERIES)}
    found = metrics(measured)
    for figure, column in (("test Precision at Rank 1", "precision_at_1"), ("test Mean Average Precision", "mAP")):
        assert found[figure] == pytest.approx(np.mean([float(row[column]) for row in rows]))
    assert (found["average_over"], found["k"], found["classes"]) == ("classes", REFERENCES, 6)


def test_confusions_add_up_to_the_queries_that_were_wrong(measured: Path) -> None:
    wrong = table(measured / "confusions.csv")
    assert all(row["class"] != row["answer"] for row in wrong)
    assert sum(int(row["queries"]) for row in wrong) == round((1 - metrics(measured)["cmc_rank_1"]) * 12)


def test_the_answers_list_as_many_references_as_asked_nearest_first(measured: Path) -> None:
    with (measured / "result.csv").open(newline="") as file:
        answers = [(path, ast.literal_eval(labels), ast.literal_eval(far)) for path, labels, far in csv.reader(file)]
    assert len(answers) == 12
    assert all(len(labels) == len(far) == 2 and far == sorted(far) for _, labels, far in answers)
    right = sum(Path(path).parent.name == labels[0] for path, labels, _ in answers)
    assert right / 12 == pytest.approx(metrics(measured)["cmc_rank_1"])


def test_queries_are_told_by_class_and_no_file_speaks_of_cameras(measured: Path) -> None:
    queries = table(measured / "queries.csv")
    assert [row["class"] for row in queries] == [name for name in sorted(KNOWN) for _ in range(QUERIES)]
    assert "camid" not in queries[0]
    assert "camera_pairs.csv" not in names(measured)
    found = metrics(measured)
    assert (found["camera_pairs"], found["camera_pairs_left_out"]) == (None, None)


def test_the_page_names_classes_and_says_references(measured: Path) -> None:
    page = (measured / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in KNOWN)
    assert "18 references" in page
    shown = page[page.index("<main") : page.index("<script")]
    assert "camera" not in shown.replace('id="camera"', "").replace("Query camera", "")
    assert "gallery image" not in shown


def test_an_uneven_query_set_weighs_classes_or_queries_as_asked(
    learnt: Path, classes: Places, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    """Apple has six queries and all others one, so that its precision counts a sixth, or six elevenths."""
    query = tmp_path / "query"
    for name in KNOWN:
        count = 6 if name == "apple" else 1
        for image in range(count):
            draw_blob(query / name / f"{image}.png", KNOWN[name], seed=5000 + image)
    asked = (f"evaluate.parent_run={learnt}", f"dataset.val_dataset.query={query}", *PLAIN)
    found = {}
    for over in ("true", "false"):
        evaluate(make_recognition("evaluate", tmp_path / over, *asked, f"evaluate.report_accuracy_per_class={over}"))
        found[over] = metrics(tmp_path / over / "evaluate")

    rows = table(tmp_path / "true" / "evaluate" / "per_class.csv")
    each = {row["class"]: float(row["mAP"]) for row in rows}
    assert found["true"]["test Mean Average Precision"] == pytest.approx(sum(each.values()) / 6)
    weighed = (6 * each["apple"] + sum(each.values()) - each["apple"]) / 11
    assert found["false"]["test Mean Average Precision"] == pytest.approx(weighed)
    assert [found[over]["average_over"] for over in ("true", "false")] == ["classes", "queries"]


def test_queries_that_are_references_themselves_find_themselves_unless_they_are_left_out(
    learnt: Path, classes: Places, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    asked = (f"evaluate.parent_run={learnt}", f"dataset.val_dataset.query={classes.reference}", *PLAIN)
    evaluate(make_recognition("evaluate", tmp_path / "with", *asked))
    evaluate(make_recognition("evaluate", tmp_path / "without", *asked, "evaluate.exclude=same_image"))

    itself, apart = (metrics(tmp_path / name / "evaluate") for name in ("with", "without"))
    assert itself["cmc_rank_1"] == 1.0
    assert apart["cmc_rank_1"] < 1.0
    assert apart["protocol"]["exclude"] == "same_image"
    assert apart["open_set"] is None


@pytest.mark.parametrize("kind", ["yaml", "lines"])
def test_a_class_map_changes_the_names_and_nothing_else(
    kind: str, learnt: Path, measured: Path, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    lines = [f"{name}: {name.upper()}" if kind == "yaml" else name.upper() for name in sorted(KNOWN)]
    further = ["kiwi: KIWI"] if kind == "yaml" else []
    (tmp_path / "map.txt").write_text("\n".join([*lines, *further]))
    asked = (f"evaluate.parent_run={learnt}", f"dataset.class_map={tmp_path / 'map.txt'}", *PLAIN)
    evaluate(make_recognition("evaluate", tmp_path, *asked))

    mine, plain = (table(folder / "per_class.csv") for folder in (tmp_path / "evaluate", measured))
    assert [row["class"] for row in mine] == [row["class"].upper() for row in plain]
    assert [row["precision_at_1"] for row in mine] == [row["precision_at_1"] for row in plain]


def test_a_query_class_without_reference_is_refused_before_the_network_is_used(
    learnt: Path, classes: Places, make_recognition: MakeSpec, tmp_path: Path
) -> None:
    reference = Path(shutil.copytree(classes.reference, tmp_path / "reference"))
    shutil.rmtree(reference / "plum")
    asked = (f"evaluate.parent_run={learnt}", f"dataset.val_dataset.reference={reference}")
    with pytest.raises(DataError, match=r"1 class of the query folder .* reference folder .*: plum"):
        evaluate(make_recognition("evaluate", tmp_path, *asked))


def test_select_tells_taos_figures_of_the_checkpoint(learnt: Path, make_recognition: MakeSpec, tmp_path: Path) -> None:
    result = select(make_recognition("select", tmp_path, f"select.run={learnt}"))
    chosen = json.loads((tmp_path / "select" / "selection.json").read_text())
    assert chosen["val Precision at Rank 1"] == result.figures["val Precision at Rank 1"]
    assert chosen["checkpoint"] == "model_best.pth"

    latest = select(make_recognition("select", tmp_path, f"select.run={learnt}", "select.method=latest_model"))
    assert latest.figures["epoch"] == 1
