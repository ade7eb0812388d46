"""`evaluate`: how well a gallery is ranked, by a checkpoint or by embeddings from any program."""

from __future__ import annotations

import logging
import time

from reid.actions.base import ActionRun, action_run
from reid.actions.embedded import Embedded
from reid.actions.embedded_files import names_files, read_test_set
from reid.actions.evaluation_files import Measured, write_evaluation
from reid.actions.protocol import protocol_of
from reid.actions.recipes.table import recipe_of
from reid.actions.result import ActionResult
from reid.actions.scoring import rank_by
from reid.retrieval.evaluation import evaluate_ranking
from reid.spec.experiment import ExperimentSpec

log = logging.getLogger(__name__)


def evaluate(spec: ExperimentSpec) -> ActionResult:
    """Evaluates; writes the figures (metrics.json and CSV tables), the pictures and report.html.

    The test set is embedded by a checkpoint, or read from `evaluate.embeddings`, or from `evaluate.query_embeddings`
    and `evaluate.gallery_embeddings`.

    Raises:
        SpecError: both a checkpoint and embeddings are given, or one side of the embeddings.
        CheckpointError: there is no checkpoint, or it is of another network.
        DataError: query or gallery cannot be used, or no query has a match.
    """
    with action_run("evaluate", spec) as run:
        spec, embedded = _embedded(spec, run)
        if embedded is None:  # this process has embedded its share; the main one goes on
            return ActionResult("evaluate", run.folder, {}, {}, None)
        measured = _measured(spec, embedded)
        figures = measured.figures
        files = write_evaluation(spec, run.folder, measured)
        run.status.write("RUNNING", "Test metrics generated.", kpi=figures)
        run.tracker.log_metrics(figures)
        protocol = {f"protocol.{name}": str(value) for name, value in measured.protocol.items()}
        run.tracker.set_tags({"test_set": embedded.test_set, **protocol})
        if engine := embedded.facts.get("embedding_engine"):
            run.tracker.set_tags({"embedding_engine": engine})
        for path in files.values():
            run.tracker.log_artifact(path)
        intervals = measured.evaluation.intervals
        return ActionResult("evaluate", run.folder, dict(figures), files, run.tracker.id, intervals)


def _embedded(spec: ExperimentSpec, run: ActionRun) -> tuple[ExperimentSpec, Embedded | None]:
    """The spec with all that follows from a checkpoint filled in, and the test set, in the main process."""
    if names_files(spec):
        embedded = read_test_set(spec)
        run.begin(spec)
        return spec, embedded
    from reid.actions.embedded_images import EvaluationImages  # needs torch, which files of embeddings do not

    images = EvaluationImages.open(spec)
    run.status.write("RUNNING", f"Loading checkpoint: {images.checkpoint.path}")
    run.begin(images.spec)
    return images.spec, images.embed()


def _measured(spec: ExperimentSpec, embedded: Embedded) -> Measured:
    began, recipe = time.perf_counter(), recipe_of(spec)
    ranking = rank_by(spec, embedded.query, embedded.gallery, device=embedded.device)
    evaluation = evaluate_ranking(
        ranking,
        embedded.query,
        embedded.gallery,
        max_rank=spec.re_ranking.max_rank,
        average_precision=spec.evaluate.average_precision,
        resamples=spec.evaluate.bootstrap,
        seed=max(spec.train.seed, 0),
        by_camera=recipe.cameras,
    )
    recognition = recipe.recognition(spec, ranking, embedded.query, embedded.gallery, embedded.classes)
    measured = Measured(embedded, ranking, evaluation, protocol_of(spec, ranking, embedded.network), recognition)
    log.info(
        "measured %d queries against %d %ss in %.1f s, distance %s",
        *(len(embedded.query), len(embedded.gallery), measured.words.image),
        *(time.perf_counter() - began, ranking.distance),
    )
    return measured
