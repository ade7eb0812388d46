"""The model card: what it says of an evaluation, what it says without one, and that names stay text."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from reid.report.card import CardCheckpoint, CardFigures, write_card
from reid.report.markdown import code, fenced

SPEC: dict[str, Any] = {
    "model": {"pretrain_choice": "", "pretrained_model_path": ""},
    "dataset": {"train_dataset_dir": "train.tar", "batch_size": 64, "num_instances": 4},
    "train": {"num_epochs": 20, "optim": {"name": "Adam", "base_lr": 0.0035}},
}
ORIGIN: dict[str, Any] = {
    "version": "0.1.0",
    "revision": "c0ffee",
    "revision_changed": True,
    "seed": 7,
    "train_fingerprint": "f" * 64,
    "validation_fingerprints": {"query": "a" * 64, "gallery": "b" * 64},
    "train_images": 12936,
    "train_identities": 751,
    "train_cameras": [1, 2, 3],
}
EXPORTED: dict[str, Any] = {
    "file": "model.onnx",
    "sha256": "e" * 64,
    "opset": 18,
    "input": {"name": "input", "type": "float32", "shape": ["batch", 3, 256, 128]},
    "output": {"name": "fc_pred", "type": "float32", "size": 256},
    "preprocess": {
        "height": 256,
        "width": 128,
        "interpolation": "bilinear",
        "mean": [0.5],
        "std": [0.25],
        "colours": "RGB",
        "scale": "1/255",
    },
    "parity": {
        "images": 64,
        "batches": [1, 3, 64],
        "max_abs_difference": 4.7e-05,
        "max_abs_embedding": 4.46,
        "min_cosine": 0.9999996,
        "tolerance": 1e-4,
        "provider": "CPUExecutionProvider",
    },
    "versions": {"torch": "2.15.0"},
}
METRICS: dict[str, Any] = {
    "cmc_rank_1": 0.8441,
    "cmc_rank_5": 0.9317,
    "cmc_rank_10": 0.9552,
    "mAP": 0.5549,
    "mINP": 0.1251,
    "queries": 3368,
    "queries_scored": 3366,
    "queries_without_match": 2,
    "gallery": 15913,
    "gallery_distractors": 2798,
    "test_set": "7" * 64,
    "intervals": {"mAP": [0.5395, 0.5701]},
    "verification": {
        "same_pairs": 500,
        "different_pairs": 8448,
        "equal_error_rate": 0.066,
        "tpr_at_fpr_0.01": 0.794,
        "tpr_at_fpr_0.001": 0.548,
        "tpr_at_fpr_0.0001": 0.294,
        "suggested_threshold": 0.993,
        "suggested_rule": "fpr_0.01",
        "suggested_tpr": 0.79,
        "suggested_fpr": 0.0099,
    },
    "camera_pairs": [
        {"query_camera": 1, "gallery_camera": 2, "queries": 30, "mAP": 0.8, "cmc_rank_1": 0.9},
        {"query_camera": 2, "gallery_camera": 1, "queries": 40, "mAP": 0.6, "cmc_rank_1": 0.7},
    ],
    "camera_pairs_left_out": None,
    "protocol": {"distance": "euclidean_l2_normalised", "exclude": "same_camera"},
}


def card(
    folder: Path,
    figures: CardFigures,
    *,
    file: str = "best.pth",
    name: str = "reid",
    origin: dict[str, Any] = ORIGIN,
    exported: dict[str, Any] = EXPORTED,
    **spec: Any,
) -> str:
    checkpoint = CardCheckpoint(
        file=file,
        sha256="c" * 64,
        epoch=19,
        step=1200,
        network={"backbone": "resnet_50", "neck": "bnneck", "neck_feat": "after", "with_flip_feature": False},
        provenance=origin,
        spec={**SPEC, **spec},
    )
    path = write_card(
        folder / "card.md",
        name=name,
        checkpoint=checkpoint,
        figures=figures,
        exported=exported,
        megabytes=94.2,
        checked_on="query images",
    )
    return path.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")


def test_figures_stand_with_their_intervals_in_per_cent(tmp_path: Path) -> None:
    lines = card(tmp_path, CardFigures(METRICS)).splitlines()

    assert "| mAP | 55.5 % | [53.9, 57.0] |" in lines
    assert "| rank-1 | 84.4 % | none |" in lines  # as with evaluate.bootstrap=0
    assert "2 queries have no match and no part in any figure." in lines
    assert "15,913 gallery images, 2,798 of them distractors; test set `7777777777777777`." in lines
    assert "- In the evaluation the nearest picture showed somebody else for 15.6 % of the queries." in lines


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ({}, "resized to 128 x 256 pixels\n(width x height, bilinear, Pillow), times"),
        (
            {"resize_factor": 1.14},
            "resized to 146 x 292 pixels\n(width x height, bilinear, Pillow), the middle 128 x 256 of them",
        ),
    ],
)
def test_the_card_says_how_a_picture_becomes_input(tmp_path: Path, factor: dict[str, float], words: str) -> None:
    exported = {**EXPORTED, "preprocess": {**EXPORTED["preprocess"], **factor}}

    assert words in card(tmp_path, CardFigures(METRICS), exported=exported)


def test_camera_pairs_come_weakest_first(tmp_path: Path) -> None:
    lines = card(tmp_path, CardFigures(METRICS)).splitlines()

    at = lines.index("| query camera | gallery camera | queries | mAP | rank-1 |")
    assert lines[at + 2 : at + 5] == ["| 2 | 1 | 40 | 60.0 % | 70.0 % |", "| 1 | 2 | 30 | 80.0 % | 90.0 % |", ""]


def test_of_many_camera_pairs_the_twenty_weakest_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    pairs = [
        {"query_camera": 1 + a, "gallery_camera": 1 + b, "queries": 1, "mAP": value, "cmc_rank_1": value}
        for a in range(6)
        for b in range(6)
        for value in [(6 * a + b) / 100]
    ]
    metrics = {**METRICS, "camera_pairs": pairs}

    text = card(tmp_path, CardFigures(metrics))

    assert "| 4 | 2 | 1 | 19.0 % | 19.0 % |\n\n16 better pairs left out here" in text
    assert "| 4 | 3 |" not in text


def test_the_card_says_why_camera_pairs_are_left_out(tmp_path: Path) -> None:
    reason = "Pairs of cameras are not measured: queries are from 500 cameras."
    text = card(tmp_path, CardFigures({**METRICS, "camera_pairs": None, "camera_pairs_left_out": reason}))

    assert f"### By pair of cameras\n\n{reason}\n" in text


def test_the_threshold_has_its_rates_and_a_rate_too_small_for_the_pairs_is_said(tmp_path: Path) -> None:
    lines = card(tmp_path, CardFigures(METRICS)).splitlines()

    assert "| **0.9930**, suggested (`fpr_0.01`) | 0.99 % | 79.0 % |" in lines
    assert "| largest for 0.1 % | at most 0.1 % | 54.8 % |" in lines
    assert "| largest for 0.01 % | none of the pairs | 29.4 % |" in lines  # 8,448 pairs cannot show 1 in 10,000
    assert "| equal error rate | 6.6 % | 93.4 % |" in lines


def test_an_evaluation_without_pairs_to_verify_has_no_threshold(tmp_path: Path) -> None:
    text = card(tmp_path, CardFigures({**METRICS, "verification": None, "intervals": {}}))

    assert "so there is no threshold." in text
    assert "There are no intervals" in text


def test_without_an_evaluation_the_card_says_so_and_how_to_make_one(tmp_path: Path) -> None:
    text = card(tmp_path, CardFigures(None, "There was no evaluation.", "reid evaluate results_dir=x"))

    assert "| rank-1, mAP | not evaluated |" in text
    assert "**Not evaluated.** There was no evaluation. Nothing is known" in text
    assert "```sh\nreid evaluate results_dir=x\n```" in text
    assert "nearest picture showed somebody else" not in text


def test_origin_parity_and_every_setting_are_told(tmp_path: Path) -> None:
    text = card(tmp_path, CardFigures(METRICS))

    for line in (
        "| pictures | 12,936 |",
        "| people | 751 |",
        "| cameras | 3 (1, 2, 3) |",
        f"| fingerprint | `{'f' * 64}`, of all names and contents |",
        "| program | `reid-pipeline` 0.1.0, revision `c0ffee`, with changed files |",
        "| start | random weights |",
        "| largest difference of a value | 4.7e-05, where the largest value is 4.46 |",
        "| smallest cosine | 1.000000 |",
    ):
        assert line in text.splitlines()
    assert "on 64 pictures\n(query images), in batches of 1, 3, 64:" in text
    assert yaml.safe_load(text.partition("```yaml\n")[2].partition("\n```")[0]) == SPEC


def test_merged_training_sources_are_told_one_by_one_with_the_cameras_of_their_own_files(tmp_path: Path) -> None:
    source = {"images": 1, "identities": 1, "cameras": [2], "fingerprint": "9" * 64, "pid_offset": 0}
    merged = {**ORIGIN, "train_sources": [{**source, "images": 12935, "identities": 750, "cameras": [1, 2]}, source]}
    dataset = {**SPEC["dataset"], "more_train_dataset_dirs": ["more|1.tar"]}

    lines = card(tmp_path, CardFigures(METRICS), origin=merged, dataset=dataset).splitlines()

    at = lines.index("| from | `train.tar` |")
    assert lines[at + 1] == "| and from | `more`&#124;`1.tar` |"
    assert "| cameras | 3 |" in lines
    assert "| source 1 | 12,935 pictures of 750 people by 2 cameras (1, 2), fingerprint `999999999999` |" in lines
    assert "| source 2 | 1 picture of 1 person by 1 camera (2), fingerprint `999999999999` |" in lines


def test_what_the_model_must_not_be_used_for_stands_before_the_figures(tmp_path: Path) -> None:
    text = card(tmp_path, CardFigures(METRICS))

    assert text.index("**Not to be used for**") < text.index("## Figures")
    assert "proof of who somebody is" in text


@pytest.mark.parametrize("model", ["", "imagenet"])
def test_a_borrowed_start_is_named_with_its_licence_and_a_random_one_is_not(tmp_path: Path, model: str) -> None:
    text = card(tmp_path, CardFigures(METRICS), model={"pretrain_choice": model, "pretrained_model_path": ""})

    assert ("have a licence and data of their own" in text) == bool(model)
    assert ("| start | ImageNet weights of timm |" in text) == bool(model)


def test_what_was_taken_of_borrowed_weights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    initial = {"source": "a.pth", "sha256": "d" * 64, "layout": "fast-reid", "backbone_tensors": 320, "loaded": 318,
               "parts": ["reduction", "neck"]}  # fmt: skip
    monkeypatch.setitem(ORIGIN, "pretrained", initial)

    text = card(tmp_path, CardFigures(METRICS), model={"pretrain_choice": "", "pretrained_model_path": "a.pth"})

    taken = "318 of 320 tensors of the backbone, reduction, neck from `a.pth`"
    assert f"| start | {taken} (names of fast-reid; SHA-256 `{'d' * 64}`) |" in text.splitlines()


CLASSES_SPEC: dict[str, Any] = {
    "dataset": {"train_dataset": "known.tar", "num_instance": 4},
    "train": {
        "num_epochs": 40,
        "batch_size": 32,
        "train_trunk": False,
        "train_embedder": True,
        "smooth_loss": True,
        "optim": {
            "name": "Adam",
            "triplet_loss_margin": 0.3,
            "trunk": {"base_lr": 0.001},
            "embedder": {"base_lr": 0.002},
        },
    },
}
CLASSES_METRICS: dict[str, Any] = {
    **METRICS,
    "test Precision at Rank 1": 0.875,
    "test Mean Average Precision": 0.675,
    "test Mean Reciprocal Rank": 0.9089,
    "test r-Precision": 0.723,
    "average_over": "classes",
    "k": 4,
    "classes": 8,
    "classes_scored": 7,
    "open_set": {"threshold": 0.2125, "known_accepted": 0.797, "unknown_accepted": 0.203, "queries": 64},
}


def test_the_card_of_a_network_for_classes_speaks_of_classes_and_never_of_people(tmp_path: Path) -> None:
    origin = {**ORIGIN, "train_classes": ["box", "can"]}

    text = card(tmp_path, CardFigures(CLASSES_METRICS), origin=origin, **CLASSES_SPEC)

    for line in (
        "| precision at rank 1 | 87.5 % (see Figures) |",
        "| Mean Reciprocal Rank | 0.9089 | none |",
        "| from | `known.tar` |",
        "| classes | 751 |",
        "| start | random weights |",
        "| length | 40 epochs planned, 32 pictures a batch of each process, 4 of each class |",
        "| optimiser | `Adam`, base learning rates 0.001 (trunk) and 0.002 (embedder) |",
        "The classes: `box`, `can`.",
    ):
        assert line in text.splitlines()
    assert "nearest reference is at a squared distance of **0.2125** or beyond shows none of the classes" in text
    for word in ("identity", "camera |", "pair of cameras", "GDPR", "Clothing", "person "):
        assert word not in text.replace("no person looks", "").replace("so that a person can", "")
    assert text.count("people") == 1  # whom it must not be used for


def test_the_card_names_the_weights_that_each_part_of_a_recognition_network_started_from(tmp_path: Path) -> None:
    initial = {"trunk": {"loaded": 318, "source": "trunk.pth", "sha256": "d" * 64, "layout": "timm", "parts": []},
               "whole": {"loaded": 5, "source": "all.pth", "sha256": "", "layout": "ours", "parts": []}}  # fmt: skip
    origin = {**ORIGIN, "train_classes": ["box"], "pretrained": initial}

    lines = card(tmp_path, CardFigures(None, "None."), origin=origin, **CLASSES_SPEC).splitlines()

    assert f"| start of trunk | 318 tensors from `trunk.pth` (names of timm; SHA-256 `{'d' * 64}`) |" in lines
    assert "| start of trunk and embedder | 5 tensors from `all.pth` (names of ours) |" in lines
    assert "| precision at rank 1 | not evaluated |" in lines


def test_names_with_markup_stay_text_and_tables_whole(tmp_path: Path) -> None:
    hostile = "a|b`c``<img src=x onerror=alert(1)>\n# Mine"
    metrics = copy.deepcopy(METRICS)
    metrics["protocol"][hostile] = hostile

    spec = {"dataset": {**SPEC["dataset"], "train_dataset_dir": hostile}, "note": "````\n# Mine"}
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .parse(card(tmp_path, CardFigures(metrics), file=hostile, name=hostile, **spec))
    )

    inline = [token for block in page for token in (block, *(block.children or []))]
    assert not [token for token in inline if token.type in ("html_block", "html_inline", "link_open", "image")]
    headings = [page[at + 1].content for at, token in enumerate(page) if token.type == "heading_open"]
    assert headings[0].startswith("Model card: ")
    assert "Mine" not in headings[1:]
    assert headings[-1] == "Settings of the training"
    rows = " ".join(token.type for token in page if token.type in ("th_open", "td_open", "tr_open")).split("tr_open")
    widths = {len(row.split()) for row in rows if row.strip()}
    assert widths == {2, 3, 5}  # every table has two, three or five columns, and no name made it another


@pytest.mark.parametrize(
    ("value", "span"),
    [("a", "`a`"), ("a`b", "``a`b``"), ("`a", "`` `a ``"), ("a|b", "`a`&#124;`b`"), ("a\n b", "`a b`"), ("", "")],
)
def test_a_code_span_holds_any_text(value: str, span: str) -> None:
    assert code(value) == span


def test_a_fence_is_longer_than_any_in_its_text() -> None:
    assert fenced("x\n", "sh") == "```sh\nx\n```"
    assert fenced("````", "") == "`````\n````\n`````"
