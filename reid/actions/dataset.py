"""`dataset`: fetch, verify, extract and check the archives before any training time is spent."""

from __future__ import annotations

from dataclasses import dataclass

from reid.actions.base import action_run
from reid.actions.recipes.table import recipe_of
from reid.actions.result import ActionResult
from reid.actions.subsets import Subsets, open_subsets, require_images_and_names
from reid.data.merge import require_different
from reid.errors import DataError, SpecError
from reid.files import write_json
from reid.spec.experiment import ExperimentSpec


@dataclass(frozen=True)
class Inspection:
    """What the `dataset` section leads to.

    Attributes:
        subsets: what was read, with the report of its check.
        refusal: why no network can be trained or evaluated on it; None when one can.
    """

    subsets: Subsets
    refusal: DataError | None


def dataset(spec: ExperimentSpec) -> ActionResult:
    """Checks the subsets that the `dataset` section names; writes `report.json` and `index.json`.

    The index lists each usable image with identity, camera and SHA-256, by names relative to its folder, so that it is
    the same on every machine. Where several folders are merged it says which one, and gives the numbers of its names.

    Raises:
        SpecError: none of the three places is set.
        DataError: the data cannot be trained or evaluated on.
        FetchError: a place cannot be reached.
    """
    locations = _locations(spec)
    with action_run("dataset", spec) as run:
        found = _inspect(spec, locations)
        report, index = run.folder / "report.json", run.folder / "index.json"
        write_json(report, found.subsets.report.to_dict())  # before any refusal: it shows what was found
        if found.refusal:
            raise found.refusal
        run.begin(spec)
        write_json(index, _index(found.subsets), indent=1)
        figures: dict[str, float | int | str] = {}
        for subset in found.subsets.report.subsets:
            for part in (subset, *(source.report for source in subset.sources)):
                figures[f"{part.called}_images"] = part.labelled
                figures[f"{part.called}_{spec.nouns}"] = part.identities
        run.status.write("RUNNING", "Data set checked.", kpi=figures)
        run.tracker.log_metrics({name: float(value) for name, value in figures.items()})
        run.tracker.set_tags(
            {f"fingerprint.{subset.name}": subset.fingerprint for subset in found.subsets.report.subsets}
        )
        run.tracker.log_artifact(report)
        return ActionResult("dataset", run.folder, figures, {"report": report, "index": index}, run.tracker.id)


def inspect(spec: ExperimentSpec) -> Inspection:
    """Does what `dataset` does, but needs no results folder, writes only to the cache and tracks nothing.

    Raises:
        SpecError: none of the three places is set.
        DataError: a place cannot be read at all, or has unreadable images and `dataset.on_bad_image` is error.
        FetchError: a place cannot be reached.
    """
    return _inspect(spec, _locations(spec))


def _locations(spec: ExperimentSpec) -> dict[str, tuple[str, str]]:
    """Key and place of each subset that the spec names."""
    named = {name: place for name, place in spec.dataset_places.items() if place[1]}
    if not named:
        *some, last = [key for key, _ in spec.dataset_places.values()]
        raise SpecError(
            f"none of {', '.join(some)} and {last} is set",
            "there is nothing to fetch or check",
            "give at least one of them: a folder, an archive, or a URI to one",
        )
    return named


def _inspect(spec: ExperimentSpec, locations: dict[str, tuple[str, str]]) -> Inspection:
    subsets = open_subsets(spec, locations, action="dataset")  # names are judged below, when there is a report to show
    try:
        _require_usable(spec, subsets)
    except DataError as refusal:
        return Inspection(subsets, refusal)
    return Inspection(subsets, None)


def _require_usable(spec: ExperimentSpec, subsets: Subsets) -> None:
    found, recipe = subsets.by_name, recipe_of(spec)
    for name, subset in found.items():
        require_images_and_names(spec, subset, spec.dataset_places[name][0])
    if "train" in found:
        require_different(subsets.report["train"])
        recipe.require_trainable(spec, found["train"], action="dataset")
    if "query" in found and "gallery" in found:
        recipe.require_evaluable(found["query"], found["gallery"])


def _index(subsets: Subsets) -> dict[str, list[dict[str, str | int]]]:
    digests = subsets.report.digests
    return {
        name: [
            {
                **({"source": number} if subset.sources else {}),
                "file": str(record.path.relative_to(folder.root)),
                "pid": record.pid,
                "camid": record.camid,
                "sha256": digests[record.path],
            }
            for number, folder in enumerate(subset.folders, start=1)
            for record in sorted(folder.records + folder.junk)
        ]
        for name, subset in subsets.by_name.items()
    }
