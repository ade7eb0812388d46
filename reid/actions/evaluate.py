"""`evaluate`: CMC, mAP and mINP of a checkpoint on query and gallery, with pictures from the same ranking."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from reid.actions.base import ActionRun, action_run
from reid.actions.handover import hand_over
from reid.actions.result import ActionResult
from reid.actions.scoring import QueryAndGallery, batch_size_of, rank_by
from reid.actions.settings import device_of
from reid.actions.subsets import Subsets, open_subsets, query_and_gallery_places
from reid.data.checks import require_evaluable
from reid.data.images import Preprocess
from reid.files import sha256_of, write_json, write_text
from reid.model.checkpoint import Checkpoint
from reid.report.plots import plot_cmc, plot_matches
from reid.retrieval.embeddings import Embeddings
from reid.retrieval.metrics import Float64Array, RetrievalMetrics, measure
from reid.retrieval.ranking import Ranking
from reid.spec.re_identification import ReIdentificationSpec


def evaluate(spec: ReIdentificationSpec) -> ActionResult:
    """Evaluates; writes `metrics.json`, `cmc.csv`, `cmc_curve.png` and `sampled_matches.png`.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another network.
        DataError: query or gallery cannot be used, or no query has a match.
    """
    with action_run("evaluate", spec) as run:
        spec, checkpoint = hand_over(spec, "evaluate")
        run.status.write("RUNNING", f"Loading checkpoint: {checkpoint.path}")
        subsets = open_subsets(spec, query_and_gallery_places(spec, "evaluate"))
        require_evaluable(subsets["query"], subsets["gallery"])
        run.begin(spec)
        device = device_of(spec, index=spec.evaluate.gpu_ids[0])
        test_set = QueryAndGallery.of(
            subsets, Preprocess.from_dict(checkpoint.preprocess), workers=spec.dataset.num_workers
        )
        query, gallery = test_set.embed(
            checkpoint.build_network().to(device), batch_size=batch_size_of(spec, "evaluate"), device=device
        )
        ranking = rank_by(spec, query, gallery, device=device)
        metrics = measure(ranking, max_rank=max(spec.re_ranking.max_rank, 10))  # rank-10 is a figure in any case
        figures = metrics.figures()
        protocol = _protocol(spec, ranking, checkpoint)
        files = _write(spec, run, ranking, metrics, query, gallery, subsets, checkpoint, protocol)
        run.status.write("RUNNING", "Test metrics generated.", kpi=figures)
        run.tracker.log_metrics(figures)
        run.tracker.set_tags({"test_set": subsets.test_set, **{f"protocol.{k}": str(v) for k, v in protocol.items()}})
        for path in files.values():
            run.tracker.log_artifact(path)
        return ActionResult("evaluate", run.folder, dict(figures), files, run.tracker.id)


def _protocol(spec: ReIdentificationSpec, ranking: Ranking, checkpoint: Checkpoint) -> dict[str, Any]:
    """What moves the figures, so that only like is compared with like."""
    return {
        "distance": ranking.distance,
        "exclude": "same_camera",
        "average_precision": "sum",
        "re_ranking": spec.re_ranking.re_ranking,
        "neck_feat": checkpoint.network.neck_feat,
        "with_flip_feature": checkpoint.network.with_flip_feature,
    }


def _write(
    spec: ReIdentificationSpec,
    run: ActionRun,
    ranking: Ranking,
    metrics: RetrievalMetrics,
    query: Embeddings,
    gallery: Embeddings,
    subsets: Subsets,
    checkpoint: Checkpoint,
    protocol: dict[str, Any],
) -> dict[str, Path]:
    files = {
        "metrics": run.folder / "metrics.json",
        "cmc": run.folder / "cmc.csv",
        "cmc_curve": Path(spec.evaluate.output_cmc_curve_plot),
        "sampled_matches": Path(spec.evaluate.output_sampled_matches_plot),
    }
    write_json(
        files["metrics"],
        {
            **metrics.figures(),
            "queries": metrics.num_queries,
            "queries_scored": metrics.num_scored,
            "gallery": len(gallery),
            "gallery_distractors": subsets["gallery"].num_distractors,
            "gallery_junk_dropped": len(subsets["gallery"].junk),
            "protocol": protocol,
            "test_set": subsets.test_set,
            "checkpoint": checkpoint.path.name,
            "checkpoint_epoch": checkpoint.epoch,
            "checkpoint_sha256": sha256_of(checkpoint.path),
        },
    )
    curve = metrics.cmc[: spec.re_ranking.max_rank]
    write_text(files["cmc"], _cmc_csv(curve))
    line = (
        f"{metrics.num_scored} queries, {len(gallery)} gallery images; a query's own camera left out of its matches; "
        f"distance: {ranking.distance}"
    )
    plot_cmc(curve, files["cmc_curve"], mean_ap=metrics.mean_ap, protocol=line)
    plot_matches(
        ranking,
        query.paths,
        gallery.paths,
        files["sampled_matches"],
        rows=spec.re_ranking.num_query,
        columns=spec.re_ranking.max_rank,
        seed=max(spec.train.seed, 0),
        query_labels=_labels(query),
        gallery_labels=_labels(gallery),
        protocol=line,
    )
    return files


def _cmc_csv(curve: Float64Array) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["rank", "matching_rate"])
    writer.writerows(enumerate(curve.tolist(), start=1))
    return buffer.getvalue()


def _labels(side: Embeddings) -> list[str]:
    return [f"id {pid} cam {camid}" for pid, camid in zip(side.pids.tolist(), side.camids.tolist(), strict=True)]
