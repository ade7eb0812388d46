"""Evaluation: figures by a slow oracle, its files, and which checkpoint and images are meant."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reid.actions.embedded_images import EvaluationImages
from reid.actions.evaluate import evaluate
from reid.actions.inference import inference
from reid.actions.scoring import rank_by
from reid.actions.select import select
from reid.errors import CheckpointError, DataError, SpecError
from reid.files import sha256_of
from tests import oracles
from tests.actions.conftest import MakeSpec, Places, draw
from tests.actions.helpers import names, status


@pytest.fixture(scope="module")
def evaluated(trained: Path, make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("evaluated")
    best = trained / "train" / "model_best.pth"
    evaluate(make_spec("evaluate", results, f"evaluate.checkpoint={best}"))
    return results / "evaluate"


def metrics(folder: Path) -> dict[str, float]:
    figures: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return figures


def test_an_evaluation_leaves_taos_pictures_and_our_figures(evaluated: Path) -> None:
    assert names(evaluated) >= {
        "metrics.json", "cmc.csv", "cmc_curve.png", "sampled_matches.png", "status.json", "experiment.yaml", "run.json",
        "queries.csv", "camera_pairs.csv", "verification.json", "report.html",
    }  # fmt: skip
    for picture in ("cmc_curve.png", "sampled_matches.png"):
        with Image.open(evaluated / picture) as image:
            image.verify()


def test_the_figures_equal_a_slow_oracle_on_the_embeddings_that_inference_writes(
    evaluated: Path, trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"
    inference(make_spec("inference", tmp_path, f"inference.checkpoint={best}"))
    labelled = []
    for entry in json.loads((tmp_path / "inference" / "inference.json").read_text()):
        name, side = Path(entry["img_path"]).name, Path(entry["img_path"]).parent.name
        if name[0].isdigit():  # neither junk nor a stranger
            labelled.append((side, int(name[:4]), int(name.split("_c")[1][0]), np.array(entry["embedding"])))
    sides = {side: [row for row in labelled if row[0] == side] for side in ("query", "gallery")}
    vectors = {side: np.stack([row[3] for row in found]) for side, found in sides.items()}
    distances = oracles.squared_distances(vectors["query"], vectors["gallery"], l2_normalise=True)
    lists = [
        [
            hit
            for _, hit in oracles.ranked(
                distances[q], pid, camid, [r[1] for r in sides["gallery"]], [r[2] for r in sides["gallery"]]
            )
        ]
        for q, (_, pid, camid, _) in enumerate(sides["query"])
    ]
    expected = oracles.figures(lists, max_rank=10)

    got = metrics(evaluated)
    cmc = expected["cmc"]
    assert isinstance(cmc, list)
    assert [got["cmc_rank_1"], got["cmc_rank_5"], got["cmc_rank_10"]] == pytest.approx([cmc[0], cmc[4], cmc[9]])
    assert got["mAP"] == pytest.approx(expected["mAP"], abs=1e-6)
    assert got["mINP"] == pytest.approx(expected["mINP"], abs=1e-6)


def test_the_table_that_inference_writes_gives_the_figures_of_its_checkpoint(
    evaluated: Path, trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"
    made = inference(make_spec("inference", tmp_path, f"inference.checkpoint={best}"))

    evaluate(make_spec("evaluate", tmp_path, f"evaluate.embeddings={made.files['embeddings']}"))

    ours, theirs = metrics(tmp_path / "evaluate"), metrics(evaluated)
    same = {"cmc_rank_1", "mAP", "mINP", "queries", "gallery", "gallery_junk_dropped", "protocol", "checkpoint_sha256"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["gallery_unlabelled_dropped"] == 1  # the stranger
    assert ours["embeddings"] == "embeddings.parquet"
    assert ours["test_set"] != theirs["test_set"]  # of names and labels here, of the images' contents there
    assert (tmp_path / "evaluate" / "sampled_matches.png").is_file()  # the paths are those of this machine


def test_the_ranking_follows_the_evaluation_keys_wherever_the_embeddings_are_from(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    embedded = EvaluationImages.open(
        make_spec("evaluate", tmp_path, f"evaluate.parent_run={trained}", "re_ranking.max_rank=3")
    )
    test_set = embedded.embed()

    ranking = rank_by(embedded.spec, test_set.query, test_set.gallery, device=test_set.device)
    assert (ranking.exclude, ranking.top_indices.shape) == ("same_camera", (8, 10))
    own = make_spec("evaluate", tmp_path, "evaluate.exclude=none", "evaluate.l2_normalise=false")
    ranking = rank_by(own, test_set.query, test_set.gallery, device=test_set.device)
    assert (ranking.exclude, ranking.distance) == ("none", "euclidean")


def test_figures_are_written_in_full_precision_here_and_in_status_json(evaluated: Path) -> None:
    figures = metrics(evaluated)
    (kpi,) = [record["kpi"] for record in status(evaluated) if "kpi" in record]

    assert kpi == {name: figures[name] for name in ("cmc_rank_1", "cmc_rank_5", "cmc_rank_10", "mAP", "mINP")}
    assert len(str(figures["mAP"])) > 10  # not 0.9 for 0.859


def test_metrics_json_says_what_was_measured_on_what(evaluated: Path, trained: Path) -> None:
    facts = metrics(evaluated)

    assert (facts["queries"], facts["queries_scored"], facts["gallery"]) == (8, 8, 26)
    assert (facts["gallery_distractors"], facts["gallery_junk_dropped"]) == (1, 1)
    assert facts["checkpoint_sha256"] == sha256_of(trained / "train" / "model_best.pth")


def test_rank_10_is_right_when_the_curve_is_shorter(
    evaluated: Path, trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"
    evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={best}", "re_ranking.max_rank=3"))

    for name in ("cmc_rank_1", "cmc_rank_5", "cmc_rank_10"):
        assert metrics(tmp_path / "evaluate")[name] == metrics(evaluated)[name]
    with (tmp_path / "evaluate" / "cmc.csv").open(newline="") as file:
        assert [row["rank"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_the_images_of_inference_are_never_evaluated_instead(
    evaluated: Path, trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"
    elsewhere = (f"inference.test_dataset={places.train}", f"inference.query_dataset={places.train}")

    evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={best}", *elsewhere))

    assert metrics(tmp_path / "evaluate")["test_set"] == metrics(evaluated)["test_set"]


def test_its_own_images_win_over_those_of_the_dataset_section(
    trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    query = tmp_path / "query"
    query.mkdir()
    draw(query / "0020_c1s1_000001_00.jpg", 20, 777)
    best = trained / "train" / "model_best.pth"

    evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={best}", f"evaluate.query_dataset={query}"))

    assert metrics(tmp_path / "evaluate")["queries"] == 1


def test_re_ranking_is_named_in_the_protocol(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    best = trained / "train" / "model_best.pth"

    evaluate(
        make_spec(
            "evaluate", tmp_path, f"evaluate.checkpoint={best}", "re_ranking.re_ranking=true", "re_ranking.k1=5",
            "re_ranking.k2=2",
        )
    )  # fmt: skip

    protocol = json.loads((tmp_path / "evaluate" / "metrics.json").read_text())["protocol"]
    assert protocol["re_ranking"] is True
    assert protocol["distance"].startswith("k_reciprocal(k1=5, k2=2")


def test_a_spec_of_another_network_is_refused_and_the_keys_are_named(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"

    with pytest.raises(CheckpointError, match=r"model\.feat_dim is 64 in the spec and 32 in the checkpoint"):
        evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={best}", "model.feat_dim=64"))


def test_num_classes_need_not_fit_and_the_embedding_may_be_taken_before_the_neck(
    evaluated: Path, trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    best = trained / "train" / "model_best.pth"

    evaluate(
        make_spec(
            "evaluate", tmp_path, f"evaluate.checkpoint={best}", "dataset.num_classes=99", "model.neck_feat=before"
        )
    )

    assert json.loads((tmp_path / "evaluate" / "metrics.json").read_text())["protocol"]["neck_feat"] == "before"
    assert metrics(tmp_path / "evaluate")["mAP"] != metrics(evaluated)["mAP"]


def test_the_checkpoint_is_the_one_named_else_the_parents_else_the_selected_else_the_best(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    results = shutil.copytree(trained, tmp_path / "results", symlinks=True)
    checkpoints = sorted((results / "train").glob("model_epoch_*.pth"))

    def used(*overrides: str) -> str:
        return str(metrics(evaluate(make_spec("evaluate", results, *overrides)).results_dir)["checkpoint"])

    assert used() == "model_best.pth"
    select(make_spec("select", results, "select.method=from_epoch_number", "select.epoch_number=0"))
    assert used() == "model_selected.pth"
    assert metrics(results / "evaluate")["checkpoint_epoch"] == 0
    assert used(f"evaluate.parent_run={trained}") == "model_best.pth"
    assert used(f"evaluate.checkpoint={checkpoints[1]}") == checkpoints[1].name


def test_without_any_checkpoint_the_error_says_which_actions_to_run(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"evaluate\.checkpoint is not set.*run train and select first"):
        evaluate(make_spec("evaluate", tmp_path))
    with pytest.raises(CheckpointError, match=r"there is no folder .*/nowhere"):
        evaluate(make_spec("evaluate", tmp_path, f"evaluate.parent_run={tmp_path}/nowhere"))
    with pytest.raises(SpecError, match=r"evaluate\.parent_run nor results_dir"):
        evaluate(make_spec("evaluate", tmp_path, "results_dir=", f"evaluate.results_dir={tmp_path}"))


def test_a_gallery_without_any_match_is_refused(
    trained: Path, make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    one_camera = (f"evaluate.parent_run={trained}", f"evaluate.test_dataset={places.query}")

    with pytest.raises(DataError, match="no query has a match in the gallery"):
        evaluate(make_spec("evaluate", tmp_path, *one_camera))

    assert status(tmp_path / "evaluate")[-1]["error"] == "DataError"
