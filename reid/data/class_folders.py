"""Reads class folders: the images of each class in a folder of its own, as ImageNet is laid out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reid.data.class_map import ClassMap, names_of_folders
from reid.data.listing import files_below, is_picture, listed, require_folder
from reid.data.records import Record, Subset, called
from reid.data.requirements import some
from reid.errors import DataError

log = logging.getLogger(__name__)


def read_class_folders(folders: Mapping[str, Path], *, class_map: ClassMap | None = None) -> dict[str, Subset]:
    """Lists the images of each class; all subsets are numbered together, so that a number means one class in all.

    Classes are numbered from 1 in sorted order of their folders' names. An image may lie anywhere below its class
    folder. The camera is 0 for every image. Loose images beside the class folders have no class (`unmatched`); other
    files, and images in hidden folders, are `foreign`.

    A folder that holds no image but exactly one folder, which in turn holds no image but folders, stands for that one:
    archives are packed so. One folder full of images is one class.

    Args:
        folders: for each subset its name ("train", "query", "gallery"), and where it is.
        class_map: names by which the folders are known; None for the folders' own. See `read_class_map`.

    Raises:
        DataError: a folder is missing, cannot be listed or has no class folder; a class folder has no image; or the map
            lacks one.
    """
    words = {name: called(name, of_classes=True) for name in folders}
    read = {name: _class_folders(require_folder(place, words[name]), words[name]) for name, place in folders.items()}
    known_as = names_of_folders((folder for found in read.values() for folder in found.images), class_map)
    number = {folder: index for index, folder in enumerate(known_as, start=1)}
    subsets = {}
    for name, found in read.items():
        records = (Record(path, number[folder], 0) for folder, images in found.images.items() for path in images)
        subsets[name] = Subset(
            name,
            found.root,
            tuple(sorted(records)),
            unmatched=tuple(found.loose),
            foreign=tuple(str(path.relative_to(found.root)) for path in found.foreign),
            classes={number[folder]: known_as[folder] for folder in found.images},
        )
        log.info(
            "read %s: %d images of %d classes, %d images beside the class folders, %d other files in %s",
            *(words[name], len(subsets[name].records), len(found.images), len(found.loose), len(found.foreign)),
            found.root,
        )
    return subsets


def numbered_like(subset: Subset, known: Subset) -> Subset:
    """The subset with the numbers that another one has for the names of its classes, and with further ones for others.

    Args:
        subset: of classes, or of images without any.
        known: with the names of its classes.
    """
    numbers = {name: pid for pid, name in known.classes.items()}
    further = [name for name in subset.classes.values() if name not in numbers]
    numbers |= {name: pid for pid, name in enumerate(further, start=max(known.classes, default=0) + 1)}
    return replace(
        subset,
        records=tuple(replace(record, pid=numbers[subset.classes[record.pid]]) for record in subset.records),
        classes={numbers[name]: name for name in subset.classes.values()},
    )


@dataclass(frozen=True)
class _ClassFolders:
    """What was found: the images of each class folder, in sorted order of the folders, and what lies beside them."""

    root: Path
    images: dict[str, list[Path]]
    loose: list[Path]
    foreign: list[Path]


def _class_folders(root: Path, name: str) -> _ClassFolders:
    files, classes = listed(root)
    while len(classes) == 1 and not any(map(is_picture, files)):
        inner_files, inner = listed(classes[0])
        if any(map(is_picture, inner_files)) or not inner:
            break
        root, files, classes = classes[0], inner_files, inner
    below = {folder.name: files_below(folder) for folder in classes}
    found = _ClassFolders(
        root,
        {folder: [path for path in paths if is_picture(path)] for folder, paths in below.items()},
        [path for path in files if is_picture(path)],
        [path for paths in (files, *below.values()) for path in paths if not is_picture(path)],
    )
    _require_classes(found, name)
    return found


def _require_classes(found: _ClassFolders, name: str) -> None:
    if not found.images:
        raise DataError(
            f"the {name} folder {found.root} holds no class folder, but {len(found.loose)} images and "
            f"{len(found.foreign)} other files",
            "the folder of an image says of which class it is",
            "put the images of each class in a folder that bears its name",
        )
    if empty := [folder for folder, images in found.images.items() if not images]:
        raise DataError(
            f"of the {len(found.images)} class folders in the {name} folder {found.root}, "
            f"{len(empty)} {'holds' if len(empty) == 1 else 'hold'} no image: {some(empty)}",
            "a class without images can neither be learnt nor recognised; images end in .jpg, .jpeg, .png, .bmp or "
            ".webp",
            "add images, or take the empty folders away",
        )
