"""A whole small training on real files: what it writes, and that what it writes is true."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reid.actions.evaluate import evaluate
from reid.actions.train import train
from reid.errors import CheckpointError, DataError, ReidError, SpecError, StorageError
from reid.model.checkpoint import load_checkpoint
from reid.model.selection import LATEST
from reid.spec.load import load_spec
from tests.actions.conftest import MakeSpec, Places
from tests.actions.helpers import equal, latest_weights, names, require_whole_description, rows, status

ROOT = Path(__file__).parents[2]


def test_a_training_leaves_taos_files_and_ours_and_nothing_else(trained: Path) -> None:
    written = names(trained / "train")
    checkpoints = sorted(name for name in written if name.startswith("model_epoch"))

    assert len(checkpoints) == 3
    assert all(re.fullmatch(rf"model_epoch_00{i}_step_\d{{5}}\.pth", name) for i, name in enumerate(checkpoints))
    assert (trained / "train" / "reid_model_latest.pth").readlink() == Path(checkpoints[-1])
    assert written - set(checkpoints) == {
        "reid_model_latest.pth", "model_best.pth", "metrics.csv", "training.png", "status.json", "experiment.yaml",
        "run.json",
    }  # fmt: skip


def test_every_checkpoint_loads_without_running_code_and_describes_itself(trained: Path) -> None:
    files = list((trained / "train").glob("*.pth"))

    assert len(files) == 5  # three epochs, the best, and the link to the latest
    for path in files:
        require_whole_description(path)
        checkpoint = load_checkpoint(path)
        assert checkpoint.history is not None
        assert [row["epoch"] for row in checkpoint.history] == list(range(checkpoint.epoch + 1))
        assert checkpoint.preprocess["height"] == 64
        assert set(checkpoint.metrics) == {"cmc_rank_1", "cmc_rank_5", "cmc_rank_10", "mAP", "mINP"}


def test_the_number_of_classes_is_that_of_the_images_whatever_the_spec_says(trained: Path) -> None:
    checkpoint = load_checkpoint(trained / "train" / "model_best.pth")

    assert checkpoint.spec["dataset"]["num_classes"] == 751
    assert checkpoint.network.num_classes == 6
    assert checkpoint.build_network().classifier.weight.shape == (6, 32)


def test_the_best_checkpoint_is_that_of_the_highest_rank_1_in_metrics_csv(trained: Path) -> None:
    best = max(rows(trained / "train"), key=lambda r: (float(r["cmc_rank_1"]), float(r["mAP"]), -int(r["epoch"])))

    checkpoint = load_checkpoint(trained / "train" / "model_best.pth")

    assert checkpoint.epoch == int(best["epoch"])
    assert checkpoint.metrics["mAP"] == float(best["mAP"])


def test_each_checkpoint_carries_the_validation_of_its_own_epoch(trained: Path) -> None:
    measured = [float(row["mAP"]) for row in rows(trained / "train")]
    files = sorted((trained / "train").glob("model_epoch_*.pth"))

    assert [load_checkpoint(path).metrics["mAP"] for path in files] == measured


def test_the_validation_of_the_last_epoch_equals_evaluating_its_checkpoint(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    latest = trained / "train" / "reid_model_latest.pth"

    figures = evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={latest}")).figures

    last = rows(trained / "train")[-1]
    assert figures["mAP"] == pytest.approx(float(last["mAP"]), abs=1e-6)
    assert figures["cmc_rank_1"] == float(last["cmc_rank_1"])


def test_the_learning_rates_of_the_epochs_follow_taos_rule(trained: Path) -> None:
    # warm-up of 2 epochs from 0.01: index 1 has a = 1/2, then the full rate
    rates = [float(row["learning_rate"]) for row in rows(trained / "train")]

    assert rates == pytest.approx([0.00035 * (0.01 * 0.5 + 0.5), 0.00035, 0.00035])


def test_status_json_ends_in_success_with_figures_as_numbers(trained: Path) -> None:
    records = status(trained / "train")

    assert [records[0]["status"], records[-1]["status"]] == ["STARTED", "SUCCESS"]
    figures = [record["kpi"] for record in records if "kpi" in record]
    assert len(figures) == 6  # training and validation of three epochs
    assert all(isinstance(value, int | float) for kpi in figures for value in kpi.values())
    assert {"epoch": 2, "max_epoch": 2}.items() <= [r for r in records if "epoch" in r][-1].items()


def test_two_runs_of_one_seed_and_spec_give_equal_metrics_and_equal_weights(trained: Path, tmp_path: Path) -> None:
    recorded = load_spec("train", trained / "train" / "experiment.yaml", [f"results_dir={tmp_path}"]).spec

    train(recorded)

    assert rows(tmp_path / "train") == rows(trained / "train")
    assert equal(latest_weights(tmp_path / "train"), latest_weights(trained / "train"))


def test_another_seed_gives_other_weights(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    train(make_spec("train", tmp_path, "train.seed=7", "train.num_epochs=1"))

    assert rows(tmp_path / "train")[0]["train_loss"] != rows(trained / "train")[0]["train_loss"]


def test_seed_minus_1_draws_a_seed_and_writes_it_down(make_spec: MakeSpec, tmp_path: Path) -> None:
    seeds = set()
    for run in ("a", "b"):
        train(make_spec("train", tmp_path / run, "train.seed=-1", "train.num_epochs=1"))
        seeds.add(load_checkpoint(tmp_path / run / "train" / "model_best.pth").provenance["seed"])

    assert len(seeds) == 2
    assert min(seeds) >= 0


def test_without_query_and_gallery_it_trains_without_a_best_checkpoint(make_spec: MakeSpec, tmp_path: Path) -> None:
    result = train(
        make_spec("train", tmp_path, "dataset.query_dataset_dir=", "dataset.test_dataset_dir=", "train.num_epochs=1")
    )

    assert "cmc_rank_1" not in rows(tmp_path / "train")[0]
    assert "model_best.pth" not in names(tmp_path / "train")
    assert result.figures == {"epochs": 1}


def test_a_gallery_without_a_query_names_the_key_that_is_missing(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"dataset\.query_dataset_dir is not set"):
        train(make_spec("train", tmp_path, "dataset.query_dataset_dir="))

    assert status(tmp_path / "train")[-1]["status"] == "FAILURE"


def test_validation_and_checkpoints_come_at_their_intervals_and_always_at_the_end(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    train(make_spec("train", tmp_path, "train.validation_interval=2", "train.checkpoint_interval=2"))

    assert [bool(row["mAP"]) for row in rows(tmp_path / "train")] == [False, True, True]
    assert sorted(name[:15] for name in names(tmp_path / "train") if name.startswith("model_epoch")) == [
        "model_epoch_001", "model_epoch_002",
    ]  # fmt: skip


def test_checkpoints_by_step_are_named_by_their_step_and_the_last_one_knows_its_validation(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    by_step = ("train.checkpoint_interval_unit=step", "train.checkpoint_interval=2", "train.keep_checkpoints=-1")

    train(make_spec("train", tmp_path, "train.num_epochs=1", *by_step))

    (row,) = rows(tmp_path / "train")
    last = int(row["step"])
    due = sorted({*range(2, last + 1, 2), last})
    files = sorted((tmp_path / "train").glob("model_epoch_*.pth"))
    assert [path.name for path in files] == [f"model_epoch_000_step_{step:05d}.pth" for step in due]
    assert load_checkpoint(files[0]).metrics == {}
    assert load_checkpoint(files[-1]).metrics["mAP"] == float(row["mAP"])


def test_a_checkpoint_with_centers_holds_centers_that_moved_and_evaluates(make_spec: MakeSpec, tmp_path: Path) -> None:
    train(
        make_spec(
            "train", tmp_path, "train.num_epochs=2", "model.with_center_loss=true",
            "model.metric_loss_type=triplet_center",
        )
    )  # fmt: skip

    files = sorted((tmp_path / "train").glob("model_epoch_*.pth"))
    first, last = (torch.load(path, weights_only=True)["state_dict"]["criterion.center.centers"] for path in files)
    assert not torch.equal(first, last)
    assert float(rows(tmp_path / "train")[0]["train_loss_center"]) > 0
    assert 0 < float(evaluate(make_spec("evaluate", tmp_path)).figures["mAP"]) <= 1


def test_a_diverging_training_ends_in_words_and_writes_no_further_checkpoint(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    overrides = ("train.optim.name=SGD", "train.optim.base_lr=1.0", "train.optim.warmup_method=constant",
                 "train.optim.warmup_iters=0", "model.neck=", "model.triplet_loss_weight=1e30")  # fmt: skip

    with pytest.raises(ReidError, match=r"training loss of epoch 0 is (nan|inf).*train\.grad_clip") as caught:
        train(make_spec("train", tmp_path, *overrides))

    named = re.search(
        r"batch (\d+) of the epoch \(counted from 0\), of the identities ([\d, ]+) \((.*?)\)", str(caught.value)
    )
    assert named is not None
    files = named[3].removesuffix(" and 4 more").split(", ")  # of 2 x 4
    pids = [int(pid) for pid in named[2].split(", ")]
    assert (len(files), len(pids)) == (4, 2)
    assert {int(name[:4]) for name in files} <= set(pids)
    assert "learning rate 1, model.triplet_loss_weight 1e+30" in str(caught.value)
    assert "earlier checkpoints" not in str(caught.value)

    assert not [name for name in names(tmp_path / "train") if name.endswith(".pth")]
    assert status(tmp_path / "train")[-1]["error"] == "ReidError"


def test_fewer_identities_than_a_batch_needs_is_found_before_any_training(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"6 identities .* needs 8"):
        train(make_spec("train", tmp_path, "dataset.batch_size=32"))

    last = status(tmp_path / "train")[-1]
    assert (last["status"], last["verbosity"], last["error"]) == ("FAILURE", "ERROR", "DataError")
    assert "6 identities" in last["message"]


def test_pretrained_weights_of_another_network_are_refused(trained: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    weights = trained / "train" / "model_best.pth"

    with pytest.raises(CheckpointError, match=r"is a checkpoint of model\.backbone=test_resnet"):
        train(make_spec("train", tmp_path, "model.backbone=test_vit", f"model.pretrained_model_path={weights}"))


def test_a_training_starts_from_the_weights_of_an_earlier_one(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    weights = trained / "train" / "model_best.pth"
    frozen = ("train.optim.base_lr=0", "train.num_epochs=1", "train.seed=5")

    train(make_spec("train", tmp_path, *frozen, f"model.pretrained_model_path={weights}"))

    before, after = load_checkpoint(weights).weights, load_checkpoint(tmp_path / "train" / "model_best.pth").weights
    learnt = [name for name in before if name.startswith("backbone.") and name.endswith("conv1.weight")]
    assert learnt
    assert all(torch.equal(before[name], after[name]) for name in learnt)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_what_a_training_started_from_is_in_its_folder_and_in_its_checkpoints_also_after_a_resume(
    trained: Path, make_spec: MakeSpec, tmp_path: Path
) -> None:
    weights = trained / "train" / "model_best.pth"
    start = f"model.pretrained_model_path={weights.as_uri()}"

    train(make_spec("train", tmp_path, "train.num_epochs=1", start))
    first = load_checkpoint(tmp_path / "train" / LATEST).provenance["pretrained"]
    train(make_spec("train", tmp_path, "train.num_epochs=2", start))

    resumed = load_checkpoint(tmp_path / "train" / LATEST)
    assert json.loads((tmp_path / "train" / "pretrained.json").read_text()) == first
    assert (resumed.epoch, resumed.provenance["pretrained"]) == (1, first)
    assert first["source"] == weights.as_uri()
    assert (first["layout"], first["loaded"]) == ("reid", first["backbone_tensors"])
    assert first["parts"] == ["reduction", "neck"]
    assert first["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert load_checkpoint(weights).provenance["pretrained"] is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 6 MB: room for the first checkpoint (4.6 MB) and not for the second."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)


def test_a_full_disk_is_an_error_in_words_and_leaves_only_whole_files(make_spec: MakeSpec, small_disk: Path) -> None:
    with pytest.raises(StorageError, match=r"no space left while writing .*\.pth"):
        train(make_spec("train", small_disk))

    left = small_disk / "train"
    assert not [name for name in names(left) if name.endswith(".tmp")]
    for path in left.glob("*.pth"):
        load_checkpoint(path)
    assert status(left)[-1]["status"] == "FAILURE"


def test_the_average_the_depth_and_the_warm_up_by_step_reach_the_training(make_spec: MakeSpec, tmp_path: Path) -> None:
    keys = ("train.ema_decay=0.5", "train.optim.layer_decay=0.5", "train.optim.warmup_steps=100")
    train(make_spec("train", tmp_path, "train.num_epochs=1", "train.optim.warmup_iters=0", *keys))

    latest = tmp_path / "train" / "reid_model_latest.pth"
    content = torch.load(latest, weights_only=True)
    (row,) = rows(tmp_path / "train")
    rate = 0.00035 * int(row["step"]) / 100
    assert float(row["learning_rate"]) == pytest.approx(rate)
    (optimizer,) = content["optimizer_states"]
    rates = sorted({group["lr"] for group in optimizer["param_groups"]}, reverse=True)
    assert rates == pytest.approx([rate / 2**depth for depth in range(6)])  # neck, four stages, stem
    for path in latest.parent.glob("*.pth"):
        require_whole_description(path)
    assert equal(load_checkpoint(latest).weights, content["ema"])
    assert not torch.equal(content["ema"]["classifier.weight"], content["state_dict"]["network.classifier.weight"])
    figures = evaluate(make_spec("evaluate", tmp_path / "again", f"evaluate.checkpoint={latest}")).figures
    assert figures["mAP"] == pytest.approx(float(row["mAP"]), abs=1e-6)


def test_a_training_that_no_longer_improves_ends_early_with_success_and_is_left_so(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    still = ("train.optim.base_lr=0", "train.freeze_backbone_epochs=9", "model.neck_feat=before", "train.num_epochs=9")
    folder = tmp_path / "train"

    train(make_spec("train", tmp_path, *still, "train.early_stopping=1", "train.checkpoint_interval=9"))
    stopped, files = rows(folder), names(folder)
    again = train(make_spec("train", tmp_path, *still, "train.early_stopping=1", "train.checkpoint_interval=9"))

    assert [row["epoch"] for row in stopped] == ["0", "1"]  # the second is no better than the first
    assert stopped[0]["mAP"] == stopped[1]["mAP"]
    assert load_checkpoint(folder / "reid_model_latest.pth").epoch == 1
    told = [record for record in status(folder) if record["message"].startswith("Training stopped early: 1 validation")]
    assert len(told) == 2
    assert status(folder)[-1]["status"] == "SUCCESS"
    assert rows(folder) == stopped
    assert names(folder) == files
    assert again.figures["epochs"] == 2

    train(make_spec("train", tmp_path, *still, "train.early_stopping=2"))
    assert [row["epoch"] for row in rows(folder)] == ["0", "1", "2"]


@pytest.mark.slow
def test_two_processes_train_together_and_write_one_set_of_files(
    make_spec: MakeSpec, places: Places, tmp_path: Path
) -> None:
    from reid.spec.load import dump_spec

    spec = make_spec(
        "train", tmp_path, "train.num_gpus=2", "train.num_epochs=2", "dataset.batch_size=16", "train.ema_decay=0.5",
        "train.freeze_backbone_epochs=1",
    )  # fmt: skip
    (tmp_path / "spec.yaml").write_text(dump_spec(spec))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-m", "reid.cli", "train", "-e", str(tmp_path / "spec.yaml")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    records = status(tmp_path / "train")
    assert [r["status"] for r in records].count("SUCCESS") == 1
    assert [r["message"] for r in records].count("Starting Training Loop.") == 1
    assert [row["epoch"] for row in rows(tmp_path / "train")] == ["0", "1"]
    assert len(list((tmp_path / "train").glob("model_epoch_*.pth"))) == 2
    assert json.loads((tmp_path / "train" / "run.json").read_text())["action"] == "train"
    frozen = next((tmp_path / "train").glob("model_epoch_000_*"))  # of the frozen backbone the optimiser knows nothing
    assert len(torch.load(frozen, weights_only=True)["optimizer_states"][0]["state"]) == 4
    # what both processes measured together is what the saved network gives
    latest = tmp_path / "train" / "reid_model_latest.pth"
    figures = evaluate(make_spec("evaluate", tmp_path, f"evaluate.checkpoint={latest}")).figures
    assert figures["mAP"] == pytest.approx(float(rows(tmp_path / "train")[-1]["mAP"]), abs=1e-5)
