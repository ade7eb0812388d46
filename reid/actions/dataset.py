"""`dataset`: fetch, verify, extract and check the archives before any training time is spent."""

from __future__ import annotations

from reid.actions.base import action_run
from reid.actions.result import ActionResult
from reid.actions.subsets import Subsets, open_subsets
from reid.data.checks import require_evaluable, require_trainable
from reid.errors import SpecError
from reid.files import write_json
from reid.spec.re_identification import ReIdentificationSpec

KEYS = {"train": "train_dataset_dir", "query": "query_dataset_dir", "gallery": "test_dataset_dir"}


def dataset(spec: ReIdentificationSpec) -> ActionResult:
    """Checks the subsets that the `dataset` section names; writes `report.json` and `index.json`.

    The index lists each usable image with identity, camera and SHA-256, by names relative to its folder, so that it is
    the same on every machine.

    Raises:
        SpecError: none of the three places is set.
        DataError: the data cannot be trained or evaluated on.
        FetchError: a place cannot be reached.
    """
    locations = {
        name: (f"dataset.{key}", place) for name, key in KEYS.items() if (place := str(getattr(spec.dataset, key)))
    }
    if not locations:
        raise SpecError(
            "none of dataset.train_dataset_dir, dataset.query_dataset_dir and dataset.test_dataset_dir is set",
            "there is nothing to fetch or check",
            "give at least one of them: a folder, an archive, or a URI to one",
        )
    with action_run("dataset", spec) as run:
        subsets = open_subsets(spec, locations)
        report, index = run.folder / "report.json", run.folder / "index.json"
        write_json(report, subsets.report.to_dict())  # before any refusal: it shows what was found
        _require_usable(spec, subsets)
        write_json(index, _index(subsets), indent=1)
        figures: dict[str, float | int | str] = {}
        for found in subsets.report.subsets:
            figures[f"{found.name}_images"] = found.labelled
            figures[f"{found.name}_identities"] = found.identities
        run.status.write("RUNNING", "Data set checked.", kpi=figures)
        run.tracker.log_metrics({name: float(value) for name, value in figures.items()})
        run.tracker.set_tags({f"fingerprint.{found.name}": found.fingerprint for found in subsets.report.subsets})
        run.tracker.log_artifact(report)
        return ActionResult("dataset", run.folder, figures, {"report": report, "index": index}, run.tracker.id)


def _require_usable(spec: ReIdentificationSpec, subsets: Subsets) -> None:
    found = subsets.by_name
    if "train" in found:
        require_trainable(found["train"], batch_size=spec.dataset.batch_size, num_instances=spec.dataset.num_instances)
    if "query" in found and "gallery" in found:
        require_evaluable(found["query"], found["gallery"])


def _index(subsets: Subsets) -> dict[str, list[dict[str, str | int]]]:
    digests = subsets.report.digests
    return {
        name: [
            {
                "file": str(record.path.relative_to(subset.root)),
                "pid": record.pid,
                "camid": record.camid,
                "sha256": digests[record.path],
            }
            for record in sorted(subset.records + subset.junk)
        ]
        for name, subset in subsets.by_name.items()
    }
