"""What a data set must have before training or evaluation can begin."""

from __future__ import annotations

from collections.abc import Sequence

from reid.data.dataset_report import EXAMPLES
from reid.data.records import Record, Subset
from reid.errors import DataError
from reid.labels import DISTRACTOR_PID


def require_trainable(
    train: Subset,
    *,
    batch_size: int,
    num_instances: int,
    batch_key: str = "dataset.batch_size",
    batch_share: int = 1,
    gpus: int = 1,
) -> None:
    """Refuses a training set that cannot fill one P x K batch.

    Args:
        train: labelled images.
        batch_size: images in a batch, all processes together.
        num_instances: images of each identity in it (K).
        batch_key: what messages call the key of `batch_size`.
        batch_share: how many times the number in that key a batch is.
        gpus: that share a batch, each with whole identities.

    Raises:
        DataError: fewer identities than P = batch_size // num_instances, or fewer than 2; or, of classes, P below 2.
    """
    per_batch = batch_size // num_instances
    needed, found = max(per_batch, 2), len(train.pids)
    have = "have" if train.sources else "has"
    if found < needed:
        across = f" on {gpus} GPUs" if gpus > 1 else ""
        fitting = found // gpus * gpus * num_instances // batch_share
        smaller = f"set {batch_key}={fitting}" if fitting else f"train on at most {found} GPUs (train.num_gpus)"
        named = f" {train.names_of(train.pids)[0]}" if train.classes and found == 1 else ""
        raise DataError(
            f"{train.place} {have} {train.count_of(found)}{named} ({len(train.records)} images)",
            f"a batch of {batch_size} images{across}, {num_instances} of each, needs {train.count_of(needed)}",
            f"add some, or {smaller}" if found > 1 else "add images of others",
        )
    if train.classes and per_batch < 2:
        raise DataError(
            f"{batch_key} {batch_size // batch_share} with {num_instances} images of each is one class in a batch",
            "a triplet needs an image of another class in the batch, so nothing could be learnt",
            f"set {batch_key}={2 * num_instances // batch_share} or more",
        )


def require_evaluable(query: Subset, gallery: Subset) -> None:
    """Refuses a test set on which no figure would mean anything, when images of the query's own camera are left out.

    Raises:
        DataError: no query has an image of its identity by another camera in the gallery.
    """
    if len(without_match(query.records, gallery.records)) < len(query.records):
        return
    shared = sorted(set(query.pids) & set(gallery.pids))
    cameras = ", ".join(str(camid) for camid in sorted({*query.camids, *gallery.camids}))
    if shared:
        why = (
            f"{len(shared)} identities are in both, but never under two cameras (camids: {cameras}), and images from "
            "the query's own camera are left out (Market-1501 rule)"
        )
        fix = "give real camera numbers in the file names, or add images of the same people by other cameras"
    else:
        why = f"no identity is in both: the queries have {_numbers(query.pids)}, the gallery {_numbers(gallery.pids)}"
        fix = "check that query and gallery belong to the same test set"
    raise DataError(
        f"no query has a match in the gallery: {len(query.records)} queries in {query.root}, {len(gallery.records)} "
        f"gallery images in {gallery.root}",
        why,
        fix,
    )


def require_referenced(query: Subset, gallery: Subset) -> None:
    """Refuses queries of classes that have no reference: each would count as a failure of the network.

    Raises:
        DataError: a class of `query` has no image in `gallery`; the classes are named.
    """
    if missing := sorted(set(query.pids) - set(gallery.pids)):
        raise DataError(
            f"{query.count_of(len(missing))} of the {query.called} folder {query.root} "
            f"{'has' if len(missing) == 1 else 'have'} no image in the {gallery.called} folder {gallery.root}: "
            f"{some(query.names_of(missing))}",
            "a query is recognised by the nearest reference, so a class without one cannot be found",
            f"add images of {'it' if len(missing) == 1 else 'them'} to the {gallery.called} folder, or take "
            f"{'it' if len(missing) == 1 else 'them'} out of the {query.called} folder",
        )


def without_match(query: Sequence[Record], gallery: Sequence[Record]) -> list[Record]:
    """The queries of whose identity no other camera has an image in the gallery."""
    cameras = cameras_of(gallery)
    return [record for record in query if not cameras.get(record.pid, set()) - {record.camid}]


def cameras_of(records: Sequence[Record]) -> dict[int, set[int]]:
    """The cameras that see each identity, distractors left out."""
    cameras: dict[int, set[int]] = {}
    for record in records:
        if record.pid != DISTRACTOR_PID:
            cameras.setdefault(record.pid, set()).add(record.camid)
    return cameras


def some(names: Sequence[str], shown: int = 10) -> str:
    """Names for a message, the first `shown` of them: "a, b and 3 more"."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _numbers(pids: Sequence[int]) -> str:
    shown = ", ".join(str(pid) for pid in pids[:EXAMPLES])
    return f"{len(pids)} ({shown}{', ...' if len(pids) > EXAMPLES else ''})"
