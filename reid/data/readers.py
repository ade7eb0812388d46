"""Reads folders of images whose names carry the identity and the camera: Market-1501's naming.

`0007_c2s1_000003_00.jpg` is identity 7 seen by camera 2. Only the base name is read, so a folder `run2_c3/` misleads
nobody, and a camera may have several digits. Names that do not follow the rule are counted and named, never guessed at.
"""

from __future__ import annotations

import logging
from pathlib import Path

from reid.data.listing import files_below, is_picture, listed, require_folder
from reid.data.records import Record, Subset
from reid.errors import DataError
from reid.labels import JUNK_PID, labels_of, view_of

log = logging.getLogger(__name__)

_EXAMPLE = "0007_c2s1_000003_00.jpg"


def read_market1501(folder: Path, *, name: str, recursive: bool = False) -> Subset:
    """Lists a folder of images named `<pid>_c<camid>...`, sorted by path.

    A folder that holds no image but exactly one sub-folder stands for that sub-folder: archives are packed so. Names
    that begin with a dot are never images (macOS adds `._0007_c2s1_...jpg` to archives). Identities below -1 count as
    unmatched.

    Args:
        name: what messages call the subset: "train", "query" or "gallery".
        recursive: also read the folders below.

    Raises:
        DataError: the folder is missing, is not a folder or cannot be listed.
    """
    root, files = image_folder(require_folder(folder, name), recursive=recursive)
    records, junk, unmatched, foreign = [], [], [], []
    for path in files:
        if not is_picture(path):
            foreign.append(str(path.relative_to(root)))
        elif (record := _record(path)) is None:
            unmatched.append(path)
        elif record.pid == JUNK_PID:
            junk.append(record)
        else:
            records.append(record)
    log.info(
        "read %s: %d labelled images, %d junk, %d unmatched, %d other files in %s",
        *(name, len(records), len(junk), len(unmatched), len(foreign), root),
    )
    return Subset(name, root, tuple(records), tuple(junk), tuple(unmatched), tuple(foreign))


def image_folder(root: Path, *, recursive: bool) -> tuple[Path, list[Path]]:
    """The folder that is really read, and its files or, `recursive`, every file below it, sorted.

    Without `recursive`, a folder that holds no image but exactly one sub-folder stands for that sub-folder.
    """
    if recursive:
        return root, files_below(root)
    while True:
        files, folders = listed(root)
        if any(is_picture(path) for path in files) or len(folders) != 1:
            return root, files
        root = folders[0]


def require_named(subset: Subset) -> None:
    """Refuses a subset in which no file name gives an identity.

    Raises:
        DataError: the folder holds no image, or none whose name follows the rule; three names are shown.
    """
    if subset.records:
        return
    if not subset.images:
        raise DataError(
            f"the {subset.name} folder {subset.root} holds no image{_what_else(subset)}",
            "images end in .jpg, .jpeg, .png, .bmp or .webp",
            "give the folder that holds the images, or set dataset.recursive=true when they lie in folders below it",
        )
    if not subset.unmatched:
        raise DataError(
            f"all {len(subset.junk)} images of the {subset.name} folder {subset.root} are junk (identity -1)",
            "junk is dropped, so no image would be left",
            "check that this is the right folder",
        )
    examples = ", ".join(path.name for path in subset.unmatched[:3])
    raise DataError(
        f"none of the {len(subset.images)} images of the {subset.name} folder {subset.root} has an identity in its "
        f"name; the first are {examples}",
        f"a name must begin with <identity>_c<camera>, as {_EXAMPLE} does",
        "rename the files, or check that this is the right folder",
    )


def _record(path: Path) -> Record | None:
    labels = labels_of(path.name)
    return None if labels is None else Record(path, pid=labels[0], camid=labels[1], view=view_of(path.name))


def _what_else(subset: Subset) -> str:
    folders = sorted(path.name for path in subset.root.iterdir() if path.is_dir())
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, kind in ((folders, "folders"), (list(subset.foreign), "other files"))
        if names
    ]
    return f", but {' and '.join(parts)}" if parts else " and nothing else"
