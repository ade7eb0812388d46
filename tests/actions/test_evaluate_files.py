"""Evaluation of embeddings from files: the same files and figures as with a checkpoint, without a network."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reid.actions.evaluate import evaluate
from reid.actions.result import ActionResult
from reid.cli import main
from reid.errors import DataError, SpecError
from reid.files import sha256_of
from reid.spec.load import load_spec
from tests import oracles
from tests.actions.conftest import draw
from tests.report.pages import lists_in

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "golden" / "embeddings_a.npz"

Evaluate = Callable[..., ActionResult]


@pytest.fixture
def run(tmp_path: Path) -> Evaluate:
    def run(*overrides: str) -> ActionResult:
        given = [f"results_dir={tmp_path / 'results'}", "mlflow.enable=false", "evaluate.report=false"]
        given += [f"dataset.cache_dir={tmp_path / 'cache'}", "re_ranking.num_query=1"]
        return evaluate(load_spec("evaluate", None, [*given, *overrides]).spec)

    return run


def people(seed: int = 0, *, queries: int = 10, gallery: int = 60, dim: int = 4) -> dict[str, dict[str, np.ndarray]]:
    """Random embeddings of few people under three cameras; junk and distractors in the gallery, none in the query."""
    rng = np.random.default_rng(seed)

    def side(count: int, least: int) -> dict[str, np.ndarray]:
        return {
            "vectors": rng.normal(size=(count, dim)).astype(np.float32),
            "pid": rng.integers(least, 6, count),
            "camid": rng.integers(1, 4, count),
        }

    return {"query": side(queries, 1), "gallery": side(gallery, -1)}


def names(side: dict[str, np.ndarray]) -> list[str]:
    labels = zip(side["pid"].tolist(), side["camid"].tolist(), strict=True)
    return [f"{pid:04d}_c{camid}s1_{row:06d}_00.jpg" for row, (pid, camid) in enumerate(labels)]


def both(target: Path, sides: dict[str, dict[str, np.ndarray]]) -> Path:
    arrays = {}
    for name, side in sides.items():
        arrays |= {name: side["vectors"], f"{name}_pid": side["pid"], f"{name}_camid": side["camid"]}
    np.savez(target, **arrays)
    return target


def one(target: Path, side: dict[str, np.ndarray], folder: str) -> Path:
    np.savez(target, embeddings=side["vectors"], path=[f"{folder}/{name}" for name in names(side)])
    return target


def tao(target: Path, sides: dict[str, dict[str, np.ndarray]]) -> Path:
    entries = [
        {"img_path": f"/their/{name}/{image}", "embedding": vector}
        for name, side in sides.items()
        for image, vector in zip(names(side), side["vectors"].tolist(), strict=True)
    ]
    target.write_text(json.dumps(entries, indent=4))
    return target


def query_folder(place: Path, sides: dict[str, dict[str, np.ndarray]]) -> Path:
    place.mkdir()
    for number, name in enumerate(names(sides["query"])):
        draw(place / name, 1, number)
    return place


def facts(result: ActionResult) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(result.files["metrics"].read_text())
    return read


def expected(sides: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """The oracle's figures, junk dropped."""
    query, gallery = (
        sides["query"],
        {key: values[sides["gallery"]["pid"] >= 0] for key, values in sides["gallery"].items()},
    )
    distances = oracles.squared_distances(query["vectors"], gallery["vectors"], l2_normalise=True)
    lists = [
        [hit for _, hit in oracles.ranked(row, pid, camid, gallery["pid"].tolist(), gallery["camid"].tolist())]
        for row, pid, camid in zip(distances, query["pid"].tolist(), query["camid"].tolist(), strict=True)
    ]
    return oracles.figures(lists, max_rank=10)


def test_every_kind_of_file_gives_the_oracles_figures(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    wanted = expected(sides)
    folder = query_folder(tmp_path / "query_images", sides)
    given = {
        "npz": [f"evaluate.embeddings={both(tmp_path / 'both.npz', sides)}"],
        "json": [f"evaluate.embeddings={tao(tmp_path / 'inference.json', sides)}", f"evaluate.query_dataset={folder}"],
        "two files": [
            f"evaluate.query_embeddings={one(tmp_path / 'q.npz', sides['query'], 'q')}",
            f"evaluate.gallery_embeddings={one(tmp_path / 'g.npz', sides['gallery'], 'g')}",
        ],
    }
    sets = set()
    for overrides in given.values():
        result = run(*overrides)
        assert result.figures["mAP"] == pytest.approx(wanted["mAP"], abs=1e-9)
        assert result.figures["mINP"] == pytest.approx(wanted["mINP"], abs=1e-9)
        assert [result.figures[f"cmc_rank_{k}"] for k in (1, 5, 10)] == pytest.approx(
            [wanted["cmc"][k - 1] for k in (1, 5, 10)]
        )
        sets.add(facts(result)["test_set"])
    assert len(sets) == 2  # names are part of it: with and without them, but not their folders


@pytest.mark.skipif(not GOLDEN.is_file(), reason="../shared/data/golden is not on this machine")
def test_the_golden_file_gives_the_golden_row(run: Evaluate) -> None:
    plain = run(f"evaluate.embeddings={GOLDEN}")

    assert {name: round(value, 4) for name, value in plain.figures.items() if name != "mINP"} == {
        "mAP": 0.5549, "cmc_rank_1": 0.8441, "cmc_rank_5": 0.9317, "cmc_rank_10": 0.9552,
    }  # fmt: skip
    found = facts(plain)
    assert (found["queries"], found["gallery"], found["gallery_junk_dropped"]) == (3368, 15_913, 3819)


def test_no_torch_is_imported_on_the_way(tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people())
    program = (
        "import sys; from reid.cli import main; code = main(['evaluate', *sys.argv[1:]]); "
        "assert code == 0, code; "
        "heavy = {'torch', 'timm', 'pytorch_lightning', 'mlflow'} & set(sys.modules); assert not heavy, heavy"
    )
    overrides = [f"evaluate.embeddings={path}", f"results_dir={tmp_path}", "mlflow.enable=false"]
    done = subprocess.run(
        [sys.executable, "-c", program, *overrides], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "evaluate/report.html").is_file()


def test_the_table_on_the_screen_shows_the_intervals_of_metrics_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = both(tmp_path / "a.npz", people(queries=30))

    assert main(["evaluate", f"results_dir={tmp_path}", f"evaluate.embeddings={file}", "evaluate.report=false"]) == 0

    low, high = json.loads((tmp_path / "evaluate" / "metrics.json").read_text())["intervals"]["mAP"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["mAP"]]
    assert line.rstrip().endswith(f"{100 * low:.1f} to {100 * high:.1f} %")


def test_the_file_stands_where_else_the_checkpoint_does(run: Evaluate, tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people())
    found = facts(run(f"evaluate.embeddings={path}"))

    assert (found["embeddings"], found["embeddings_sha256"]) == ("both.npz", sha256_of(path))
    assert not {"checkpoint", "checkpoint_epoch", "checkpoint_sha256"} & found.keys()
    assert "neck_feat" not in found["protocol"]


def test_queries_csv_has_a_row_for_each_query_and_blanks_where_it_has_no_match(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    sides["query"]["pid"][3] = 77  # nobody in the gallery
    result = run(f"evaluate.embeddings={both(tmp_path / 'both.npz', sides)}")
    with result.files["queries"].open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["row"] for row in rows] == [str(number) for number in range(10)]
    assert (rows[3]["pid"], rows[3]["matches"], rows[3]["first_match_rank"], rows[3]["average_precision"]) == (
        "77", "0", "", "",
    )  # fmt: skip
    scored = [float(row["average_precision"]) for row in rows if row["average_precision"]]
    assert np.mean(scored) == pytest.approx(result.figures["mAP"])
    assert (facts(result)["queries"], facts(result)["queries_scored"]) == (10, len(scored))


def test_camera_pairs_csv_has_a_row_for_each_pair_with_scored_queries(run: Evaluate, tmp_path: Path) -> None:
    result = run(f"evaluate.embeddings={both(tmp_path / 'both.npz', people())}")
    with result.files["camera_pairs"].open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [(row["query_camera"], row["gallery_camera"]) for row in rows] == [
        ("1", "2"), ("1", "3"), ("2", "1"), ("2", "3"), ("3", "1"), ("3", "2"),
    ]  # fmt: skip
    assert [float(row["mAP"]) for row in rows] == [cell["mAP"] for cell in facts(result)["camera_pairs"]]


def test_a_camera_for_each_image_leaves_the_camera_pairs_out_and_says_so(run: Evaluate, tmp_path: Path) -> None:
    sides = people(gallery=100)
    with_pairs = run(f"evaluate.embeddings={both(tmp_path / 'few.npz', sides)}").files["camera_pairs"]
    assert with_pairs.exists()
    sides["gallery"]["camid"] = np.arange(10, 110)
    result = run(f"evaluate.embeddings={both(tmp_path / 'many.npz', sides)}", "evaluate.report=true")

    reason = facts(result)["camera_pairs_left_out"]
    assert f"gallery: {np.count_nonzero(sides['gallery']['pid'] >= 0)}" in reason
    assert facts(result)["camera_pairs"] is None
    assert not with_pairs.exists()
    assert reason in result.files["report"].read_text(encoding="utf-8")


def test_the_report_shows_the_ten_nearest_whatever_length_is_drawn(run: Evaluate, tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people())
    result = run(f"evaluate.embeddings={path}", "evaluate.report=true", "re_ranking.max_rank=3")

    page = result.files["report"].read_text(encoding="utf-8")
    assert {len(query["tiles"]["gallery"]) for query in lists_in(page)["queries"]} == {10}
    with result.files["cmc"].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


@pytest.mark.parametrize("scale", [1e20, 1e19, 1e-25])
def test_raw_vectors_beyond_float32_are_an_error_and_no_figure(run: Evaluate, tmp_path: Path, scale: float) -> None:
    sides = people()
    for side in sides.values():
        side["vectors"] = (side["vectors"] * np.float32(scale)).astype(np.float32)
    path = both(tmp_path / "both.npz", sides)
    with pytest.raises(DataError, match=r"10 of 10 embeddings have a squared length .* the first is query row 0"):
        run(f"evaluate.embeddings={path}", "evaluate.l2_normalise=false")
    assert run(f"evaluate.embeddings={path}").figures["mAP"] == pytest.approx(expected(people())["mAP"], rel=1e-6)


def test_a_zero_vector_is_measured_raw_and_refused_when_it_is_to_be_normalised(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    sides["query"]["vectors"][3] = 0
    path = both(tmp_path / "both.npz", sides)
    with pytest.raises(DataError, match="1 of 10 embeddings are all zero; the first is query row 3"):
        run(f"evaluate.embeddings={path}")
    assert run(f"evaluate.embeddings={path}", "evaluate.l2_normalise=false").figures["mAP"] > 0


def test_every_choice_that_moves_a_figure_stands_in_the_protocol(run: Evaluate, tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people(queries=40))
    plain = run(f"evaluate.embeddings={path}")
    assert facts(plain)["protocol"] == {
        "distance": "euclidean_l2_normalised", "exclude": "same_camera", "average_precision": "sum",
        "re_ranking": False, "query_expansion": "none", "augmentation_k": 0,
    }  # fmt: skip
    changes: dict[str, tuple[str, object]] = {
        "evaluate.exclude=none": ("exclude", "none"),
        "evaluate.average_precision=trapezoid": ("average_precision", "trapezoid"),
        "evaluate.l2_normalise=false": ("distance", "euclidean"),
        "evaluate.query_expansion=aqe": ("query_expansion", "aqe(k=5)"),
        "evaluate.query_expansion=alpha_qe evaluate.expansion_k=2": ("query_expansion", "alpha_qe(k=2, alpha=3)"),
        "evaluate.augmentation_k=3": ("augmentation_k", 3),
    }
    for overrides, (key, value) in changes.items():
        changed = run(f"evaluate.embeddings={path}", *overrides.split())
        assert facts(changed)["protocol"] == facts(plain)["protocol"] | {key: value}
        assert changed.figures["mAP"] != plain.figures["mAP"], overrides


def test_memory_and_intervals_move_no_figure(run: Evaluate, tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people())
    usual = run(f"evaluate.embeddings={path}")
    frugal = run(f"evaluate.embeddings={path}", "evaluate.memory_gb=0.00001", "evaluate.bootstrap=0")

    assert frugal.figures == usual.figures
    assert facts(frugal)["intervals"] == {}
    assert facts(frugal)["protocol"] == facts(usual)["protocol"]
    with pytest.raises(DataError, match=r"evaluate\.memory_gb="):
        run(f"evaluate.embeddings={path}", "evaluate.memory_gb=0.0000001")


def test_raw_distances_of_averaged_vectors_are_refused(run: Evaluate, tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people())
    with pytest.raises(SpecError, match=r"l2_normalise is false, with .*augmentation_k=2"):
        run(f"evaluate.embeddings={path}", "evaluate.l2_normalise=false", "evaluate.augmentation_k=2")


def test_files_of_an_earlier_evaluation_that_no_longer_apply_are_removed(run: Evaluate, tmp_path: Path) -> None:
    path = both(tmp_path / "both.npz", people())
    first = run(f"evaluate.embeddings={path}", "evaluate.report=true")
    assert first.files["report"].is_file()
    assert "sampled_matches" not in first.files  # there are no pictures

    second = run(f"evaluate.embeddings={path}")

    assert "report" not in second.files
    assert not first.files["report"].exists()


def test_pictures_are_found_by_name_where_the_paths_are_of_another_machine(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    folder = query_folder(tmp_path / "query_images", sides)
    result = run(f"evaluate.embeddings={tao(tmp_path / 'i.json', sides)}", f"evaluate.query_dataset={folder}")

    assert result.files["sampled_matches"].is_file()
    with result.files["queries"].open(newline="") as file:
        assert next(csv.DictReader(file))["path"] == str(folder / names(sides["query"])[0])


def test_an_image_name_on_both_sides_is_told_by_its_folder(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    folder = query_folder(tmp_path / "query_images", sides)
    shared = {key: np.concatenate([sides["query"][key], sides["gallery"][key]]) for key in sides["query"]}
    path = tao(tmp_path / "i.json", {"query": sides["query"], "gallery": shared})
    found = facts(run(f"evaluate.embeddings={path}", f"evaluate.query_dataset={folder}"))

    assert (found["queries"], found["gallery"] + found["gallery_junk_dropped"]) == (10, 70)


def test_a_name_in_two_mixed_folders_is_refused(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    folder = query_folder(tmp_path / "query_images", sides)
    shared = {key: np.concatenate([sides["query"][key], sides["gallery"][key]]) for key in sides["query"]}
    path = tao(tmp_path / "i.json", {"one": shared, "other": shared})

    with pytest.raises(DataError, match=r"10 images of the query set .* fit several rows"):
        run(f"evaluate.embeddings={path}", f"evaluate.query_dataset={folder}")


def test_a_list_of_images_needs_the_query_set(run: Evaluate, tmp_path: Path) -> None:
    sides = people()
    path = tao(tmp_path / "inference.json", sides)
    with pytest.raises(SpecError, match=r"does not say which of its 70 images are queries.*evaluate\.query_dataset"):
        run(f"evaluate.embeddings={path}")
    others = tmp_path / "others"
    others.mkdir()
    draw(others / "9999_c1s1_000000_00.jpg", 1, 0)
    with pytest.raises(DataError, match=r"none of the 1 images of the query set"):
        run(f"evaluate.embeddings={path}", f"evaluate.query_dataset={others}")
    nameless = tmp_path / "nameless.npz"
    np.savez(nameless, vectors=np.ones((2, 2)), pid=[1, 1], camid=[1, 2])
    with pytest.raises(SpecError, match="neither a side nor a path for each"):
        run(f"evaluate.embeddings={nameless}", f"evaluate.query_dataset={others}")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["embeddings=a.npz", "checkpoint=b.pth"], r"evaluate\.embeddings and evaluate\.checkpoint are both set"),
        (["embeddings=a.npz", "parent_run=c"], r"evaluate\.embeddings and evaluate\.parent_run are both set"),
        (["query_embeddings=a.npz"], r"evaluate\.query_embeddings is set"),
        (["gallery_embeddings=a.npz"], r"evaluate\.gallery_embeddings is set"),
        (
            ["embeddings=a.npz", "query_embeddings=a.npz"],
            r"evaluate\.embeddings and evaluate\.query_embeddings are set",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(given: list[str], words: str, run: Evaluate) -> None:
    with pytest.raises(SpecError, match=words):
        run(*(f"evaluate.{text}" for text in given))


def test_two_files_of_different_dimension_are_refused(run: Evaluate, tmp_path: Path) -> None:
    query, gallery = people()["query"], people(dim=5)["gallery"]
    with pytest.raises(DataError, match="query embeddings have 4 numbers, gallery embeddings 5"):
        run(
            f"evaluate.query_embeddings={one(tmp_path / 'q.npz', query, 'q')}",
            f"evaluate.gallery_embeddings={one(tmp_path / 'g.npz', gallery, 'g')}",
        )


def test_the_test_set_is_the_same_in_any_order_and_another_with_other_labels(run: Evaluate, tmp_path: Path) -> None:
    def measured(sides: dict[str, dict[str, np.ndarray]], images: dict[str, list[str]]) -> str:
        for name, side in sides.items():
            np.savez(tmp_path / f"{name}.npz", **side, path=images[name])
        found = facts(run(*(f"evaluate.{name}_embeddings={tmp_path / name}.npz" for name in sides)))
        return str(found["test_set"])

    sides = people()
    images = {name: names(side) for name, side in sides.items()}
    order = np.random.default_rng(1).permutation(60)
    shuffled = {**sides, "gallery": {key: values[order] for key, values in sides["gallery"].items()}}
    renamed = {**images, "gallery": [f"/elsewhere/{images['gallery'][row]}" for row in order]}
    first = measured(sides, images)

    assert measured(shuffled, renamed) == first
    sides["query"]["pid"][0] = 9
    assert measured(sides, images) != first
