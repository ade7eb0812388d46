"""Checkpoints of a future that a training gave up when it was sent back to an earlier epoch in its own folder."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from reid.files import atomic_path, replace_link
from reid.model.checkpoint import Checkpoint, load_checkpoint
from reid.model.selection import BEST, list_checkpoints, score_of

log = logging.getLogger(__name__)


def remove_abandoned(folder: Path, start: Checkpoint, *, link: str, encryption_key: str = "") -> None:
    """Removes the checkpoints in `folder` that are later than `start`, when that lies there as well.

    Otherwise an epoch's number would name a file of the old course, which nothing prunes. Where the best
    checkpoint goes with them, the one that was best until `start` takes its place if it is still there. Files of other
    names, links and TAO's checkpoints without a step stay.

    Args:
        folder: of the training that goes on.
        start: where it goes on.
        link: name of the link to the latest checkpoint.
        encryption_key: passphrase of the checkpoints.

    Raises:
        CheckpointError: the best checkpoint there cannot be read, so that nobody knows of when it is.
    """
    path, now = start.path.resolve(), (start.epoch, start.step)
    if path.parent != folder.resolve():
        return
    named = [found for found in list_checkpoints(folder) if found.step >= 0 and not found.path.is_symlink()]
    later = [found.path for found in named if (found.epoch, found.step) > now and found.path.resolve() != path]
    if (folder / BEST).is_file() and (folder / BEST).resolve() != path:
        best = load_checkpoint(folder / BEST, encryption_key=encryption_key)
        if (best.epoch, best.step) > now:
            later.append(folder / BEST)
    if not later:
        return
    replace_link(folder / link, path)
    for abandoned in later:
        abandoned.unlink()
    log.warning(
        "going back to %s: removed the later checkpoints %s",
        path.name,
        ", ".join(abandoned.name for abandoned in later),
    )
    if folder / BEST in later:
        _put_back_best(folder, start, encryption_key=encryption_key)


def _put_back_best(folder: Path, start: Checkpoint, *, encryption_key: str) -> None:
    validated = [row for row in start.history or () if "cmc_rank_1" in row]
    if not validated:
        return
    epoch = max(validated, key=score_of)["epoch"]  # of equals the first, which is the earlier one
    for found in list_checkpoints(folder):
        if found.epoch == epoch and load_checkpoint(found.path, encryption_key=encryption_key).metrics_epoch == epoch:
            with atomic_path(folder / BEST) as temporary:
                shutil.copyfile(found.path, temporary)
            log.info("%s is now %s, which was the best until then", BEST, found.path.name)
            return
