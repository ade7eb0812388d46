"""`reid compare`: two evaluations read from their folders, and what cannot be compared."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reid.actions.compare import compare
from reid.actions.evaluate import evaluate
from reid.cli import main
from reid.errors import CheckpointError, DataError
from reid.retrieval.query_pairs import BY_ROW
from reid.spec.load import load_spec
from tests.actions.conftest import MakeSpec

COLUMNS = (
    *("row", "path", "pid", "camid", "matches"),
    *("first_match_rank", "average_precision", "inverse_negative_penalty"),
)
SPEC = load_spec("", None, []).spec

PROTOCOL = {
    "distance": "euclidean_l2_normalised",
    "exclude": "same_camera",
    "average_precision": "sum",
    "re_ranking": False,
    "query_expansion": "none",
    "augmentation_k": 0,
}
QUERIES = [("a/1.jpg", 1, 1), ("a/2.jpg", 1, 2), ("a/3.jpg", 2, 1), ("a/4.jpg", 3, 1)]


def leave(
    folder: Path, figures: list[tuple[int, float] | None], *, test_set: str = "t" * 64, root: str = "", **protocol: Any
) -> Path:
    """An evaluation's files: for each query rank of the first match and AP, or None for one without a match."""
    (folder / "evaluate").mkdir(parents=True)
    metrics = {"test_set": test_set, "protocol": PROTOCOL | protocol}
    (folder / "evaluate" / "metrics.json").write_text(json.dumps(metrics))
    with (folder / "evaluate" / "queries.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row, ((path, pid, camid), found) in enumerate(zip(QUERIES, figures, strict=False)):
            rank, precision = found or ("", "")
            writer.writerow([row, root + path, pid, camid, 1 if found else 0, rank, precision, precision])
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """A wins query 1 by 0.5 and query 2 by 0.25, loses query 3 by 0.25; nobody scores query 4."""
    a = leave(tmp_path / "large", [(1, 1.0), (1, 0.75), (2, 0.5), None])
    b = leave(tmp_path / "small", [(2, 0.5), (1, 0.5), (1, 0.75), None], root="/elsewhere/")
    return str(a), str(b)


def test_gains_losses_and_differences_are_those_of_the_queries(runs: tuple[str, str]) -> None:
    comparison = compare(SPEC, *runs).comparison

    precision, first = comparison.differences["mAP"], comparison.differences["cmc_rank_1"]
    assert (precision.mean_a, precision.mean_b) == pytest.approx((2.25 / 3, 1.75 / 3))
    assert precision.difference == pytest.approx(0.5 / 3)
    assert (precision.a_wins, precision.b_wins, precision.num_identities) == (2, 1, 2)
    assert (first.mean_a, first.mean_b, first.a_wins, first.b_wins) == pytest.approx((2 / 3, 2 / 3, 1, 1))
    assert [(one.path, one.gain) for one in comparison.changes] == [
        ("a/1.jpg", 0.5), ("a/2.jpg", 0.25), ("a/3.jpg", -0.25),
    ]  # fmt: skip
    assert [one.path for one in comparison.gained] == ["a/1.jpg", "a/2.jpg"]
    assert [one.path for one in comparison.lost] == ["a/3.jpg"]
    assert comparison.unscored == 1
    assert (comparison.name_a, comparison.name_b) == ("A (large)", "B (small)")


def test_swapping_the_runs_turns_every_difference_round(runs: tuple[str, str]) -> None:
    forth, back = compare(SPEC, *runs).comparison, compare(SPEC, *runs[::-1]).comparison

    for name in ("mAP", "cmc_rank_1"):
        assert back.differences[name].difference == -forth.differences[name].difference
        assert back.differences[name].low == pytest.approx(-forth.differences[name].high)
        assert back.differences[name].p_value == forth.differences[name].p_value
    assert [one.gain for one in back.changes] == [-one.gain for one in reversed(forth.changes)]


def test_an_evaluate_folder_stands_for_its_run_and_the_order_of_queries_does_not_matter(
    runs: tuple[str, str],
) -> None:
    a, b = (Path(run) / "evaluate" for run in runs)
    lines = (b / "queries.csv").read_text().splitlines()
    (b / "queries.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))

    assert compare(SPEC, str(a), str(b)).comparison.changes == compare(SPEC, *runs).comparison.changes
    assert compare(SPEC, str(a), str(b)).comparison.differences["mAP"].difference == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("named", [True, False])
def test_an_evaluation_equals_that_of_the_same_file_with_its_queries_reversed(named: bool, tmp_path: Path) -> None:
    """Base names repeat, as in `day0/1.jpg` and `day1/1.jpg`, under one identity and camera."""
    random = np.random.default_rng(0)
    paths = [f"day{day}/{number}.jpg" for day in range(4) for number in range(5)]
    query, gallery, pids = random.normal(size=(20, 4)), random.normal(size=(30, 4)), np.arange(20) % 5 + 1
    order = np.arange(20)[::-1] if named else np.arange(20)
    for name, rows in (("forth", np.arange(20)), ("back", order)):
        sides = {"query": query[rows], "query_pid": pids[rows], "query_camid": np.ones(20, int)}
        sides |= {"gallery": gallery, "gallery_pid": np.arange(30) % 5 + 1, "gallery_camid": np.full(30, 2)}
        if named:
            sides |= {"query_path": np.array(paths)[rows], "gallery_path": [f"{row}.jpg" for row in range(30)]}
        np.savez(tmp_path / f"{name}.npz", **sides)
        chosen = [f"evaluate.embeddings={tmp_path / name}.npz", f"results_dir={tmp_path / name}"]
        evaluate(load_spec("evaluate", None, [*chosen, "evaluate.report=false", "mlflow.enable=false"]).spec)

    comparison = compare(SPEC, str(tmp_path / "forth"), str(tmp_path / "back")).comparison

    assert len({one.precision_a for one in comparison.changes}) > 10
    assert [one.gain for one in comparison.changes] == [0.0] * 20
    assert comparison.notes == (() if named else (BY_ROW,))


def test_another_protocol_is_said(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", [(1, 1.0), (1, 1.0)], re_ranking=True)
    b = leave(tmp_path / "b", [(1, 1.0), (1, 1.0)], re_ranking=False)

    comparison = compare(SPEC, str(a), str(b), out=tmp_path / "out").comparison

    words = "a query's identity under its own camera is left out; distance: euclidean_l2_normalised; AP in the sum form"
    lines = (f"A: {words}; re-ranked.", f"B: {words}; not re-ranked.")
    assert comparison.notes == ("Measured differently: re_ranking is True for A and False for B.",)
    assert comparison.protocol == lines
    page = html.unescape((tmp_path / "out" / "compare.html").read_text())
    assert all(f'<p class="muted">{line}</p>' in page for line in lines)


def test_the_protocol_of_both_stands_on_the_page_once(runs: tuple[str, str], tmp_path: Path) -> None:
    protocol = compare(SPEC, *runs, out=tmp_path / "out").comparison.protocol

    assert protocol == (
        "Both: a query's identity under its own camera is left out; distance: euclidean_l2_normalised; "
        "AP in the sum form; not re-ranked.",
    )
    assert protocol[0] in html.unescape((tmp_path / "out" / "compare.html").read_text())


def test_different_test_sets_are_refused(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", [(1, 1.0)])
    b = leave(tmp_path / "b", [(1, 1.0)], test_set="u" * 64)

    with pytest.raises(DataError, match=r"measured the test set tttttttttttt, and .* the test set uuuuuuuuuuuu"):
        compare(SPEC, str(a), str(b))


def test_other_queries_are_refused_and_the_first_is_named(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", [(1, 1.0), (1, 1.0), (1, 1.0)])
    b = leave(tmp_path / "b", [(1, 1.0), (1, 1.0)])

    with pytest.raises(DataError, match=r"A has 3 queries and B 2, and 2 are the same .* B lacks is a/3\.jpg"):
        compare(SPEC, str(a), str(b))
    with pytest.raises(DataError, match="A has 2 queries and B 3"):
        compare(SPEC, str(b), str(a))


def test_a_single_identity_has_a_difference_but_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(leave(tmp_path / name, [(1, value), (1, value)])) for name, value in (("a", 1.0), ("b", 0.5))]

    written = compare(SPEC, *runs, out=tmp_path / "out").comparison.to_dict()["differences"]["mAP"]
    assert (written["difference"], written["low"], written["p_value"]) == (0.5, None, None)
    assert main(["compare", *runs]) == 0
    assert "+50.0" in capsys.readouterr().out


def test_nothing_scored_by_both_is_refused(tmp_path: Path) -> None:
    a, b = leave(tmp_path / "a", [None, (1, 1.0)]), leave(tmp_path / "b", [(1, 1.0), None])

    with pytest.raises(DataError, match="none of 2 queries is scored by both runs"):
        compare(SPEC, str(a), str(b))


def test_folders_without_an_evaluation_and_damaged_files_are_named(runs: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"has no evaluation: there is no queries\.csv in .*empty nor in"):
        compare(SPEC, str(tmp_path / "empty"), runs[1])
    for absent in (str(tmp_path / "absent"), "absent"):
        with pytest.raises(CheckpointError, match=r"there is no folder .*absent.*results folder of an evaluation"):
            compare(SPEC, absent, runs[1])
    (Path(runs[0]) / "evaluate" / "queries.csv").write_text("row,path,pid\n0,x.jpg,1\n")
    with pytest.raises(DataError, match=r"queries\.csv cannot be read: KeyError: 'camid'"):
        compare(SPEC, *runs)


def test_the_command_prints_both_runs_and_writes_page_and_json(
    runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *runs, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "75.0 %" in printed
    assert "+16.7" in printed
    assert printed.index("A gains most") < printed.index("1.jpg") < printed.index("B gains most")

    assert main(["compare", *runs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (tmp_path / "out" / "compare.html").read_text().startswith("<!doctype html>")


def test_two_checkpoints_of_a_training_are_compared_on_real_evaluations(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    checkpoints = sorted((trained / "train").glob("model_epoch_*.pth"))
    for name, checkpoint in (("first", checkpoints[0]), ("last", checkpoints[-1])):
        evaluate(make_spec("evaluate", tmp_path / name, f"evaluate.checkpoint={checkpoint}", "evaluate.report=false"))

    comparison = compare(SPEC, str(tmp_path / "last"), str(tmp_path / "first")).comparison

    for key, name in (("mAP", "mAP"), ("cmc_rank_1", "cmc_rank_1")):
        a, b = (
            json.loads((tmp_path / run / "evaluate" / "metrics.json").read_text())[key] for run in ("last", "first")
        )
        assert comparison.differences[name].difference == pytest.approx(a - b)
    assert comparison.notes == ()
