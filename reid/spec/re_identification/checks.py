"""Rules of re_identification that look at several keys at once, all of them about training."""

from __future__ import annotations

from reid.spec.problems import Problem
from reid.spec.re_identification.spec import ReIdentificationSpec


def check_re_identification(spec: ReIdentificationSpec, problems: list[Problem], warnings: list[str]) -> None:
    """Adds what is wrong with the combination of values, and what does less than it seems to."""
    _check_sources(spec, problems)
    _check_center_loss(spec, problems, warnings)
    _check_head(spec, warnings)


def _check_sources(spec: ReIdentificationSpec, problems: list[Problem]) -> None:
    first, more = spec.dataset.train_dataset_dir, spec.dataset.more_train_dataset_dirs
    if more and not first:
        problems.append(
            Problem(
                f"dataset.more_train_dataset_dirs names {len(more)} source(s), and dataset.train_dataset_dir none",
                "further sources are merged with a first one",
                f"set dataset.train_dataset_dir={more[0]} and leave it out of the list",
            )
        )
    if "" in more:
        problems.append(Problem("dataset.more_train_dataset_dirs has an empty place", "", "take it out of the list"))
    problems.extend(
        Problem(
            f"dataset.train_dataset_dir and dataset.more_train_dataset_dirs name {place} twice",
            "every person in it would be two identities",
            "name each source once",
        )
        for place in sorted({place for place in more if place and (first, *more).count(place) > 1})
    )


def _check_center_loss(spec: ReIdentificationSpec, problems: list[Problem], warnings: list[str]) -> None:
    kind = spec.model.metric_loss_type
    if spec.model.with_center_loss and kind == "triplet":
        problems.append(
            Problem(
                "model.with_center_loss is true and model.metric_loss_type is triplet",
                "the center loss is part of the metric loss types center and triplet_center alone",
                "set model.metric_loss_type=triplet_center, or model.with_center_loss=false",
            )
        )
    elif not spec.model.with_center_loss and kind != "triplet":
        warnings.append(
            f"model.metric_loss_type {kind} has no center loss while model.with_center_loss is false; "
            "as in TAO, the triplet loss alone is used"
        )


def _check_head(spec: ReIdentificationSpec, warnings: list[str]) -> None:
    if spec.dataset.sampler == "triplet" and spec.model.metric_loss_type == "triplet":
        return  # no identity loss
    asked = "label_smooth" in spec.model.model_fields_set and spec.model.label_smooth
    if spec.model.id_loss_type == "circle" and asked:
        warnings.append(
            "model.label_smooth is true and model.id_loss_type is circle; the circle loss compares similarities with "
            "each other and has no labels to smooth: it is used without"
        )
