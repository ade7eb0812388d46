"""`reid enroll`: classes of references in a gallery file, added, replaced and removed without any training."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid.actions.pictures import checkpoint_of, embed_pictures, notes_on, read_checkpoint
from reid.data.class_folders import read_class_folders
from reid.data.listing import is_picture, listed, require_folder
from reid.errors import CheckpointError, DataError
from reid.files import sole_writer
from reid.retrieval.gallery import open_gallery
from reid.retrieval.references import References, read_gallery_references

if TYPE_CHECKING:
    from reid.devices import DeviceChoice

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Enrolled:
    """A gallery file as it is now.

    Attributes:
        gallery: the file.
        classes: references of each class, by name.
        before: the same, before this call; empty for a new file.
    """

    gallery: Path
    classes: Mapping[str, int]
    before: Mapping[str, int]

    @property
    def changes(self) -> dict[str, int]:
        """References gained or lost by each class that gained or lost any; lost entirely for a removed class."""
        names = sorted({*self.classes, *self.before})
        counts = {name: self.classes.get(name, 0) - self.before.get(name, 0) for name in names}
        return {name: count for name, count in counts.items() if count}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"gallery": str(self.gallery), "classes": dict(self.classes), "changes": self.changes}


def enroll(
    folders: Sequence[Path],
    *,
    gallery: Path,
    checkpoint: Path | None = None,
    replace: bool = False,
    remove: Sequence[str] = (),
    device: DeviceChoice = "auto",
) -> Enrolled:
    """Adds the references in some folders to a gallery file, which is made when missing; or says what it holds.

    A folder of pictures is one class of that name; any other folder holds a folder for each class. A class that the
    file has gets further references; a picture that it has is embedded again, not counted twice.

    Args:
        folders: to add; with none, and nothing to remove, the file stays as it is.
        gallery: the `.parquet` file.
        checkpoint: of a new file; for a known one None is the one it names, and any other is refused.
        replace: a class in these folders loses the references it had.
        remove: classes that go.
        device: of the network.

    Raises:
        DataError: a folder or the gallery cannot be read, a class to be removed is not there, or nothing would be left.
        CheckpointError: a new file without a checkpoint, or a checkpoint that did not embed the file.
        StorageError: the file cannot be written, or another process writes there.
    """
    if gallery.suffix.lower() != ".parquet":
        raise DataError(
            f"{gallery} does not end in .parquet", "references are kept in such a table", "name it FILE.parquet"
        )
    pictures = _pictures(folders)
    if not gallery.is_file() and not pictures:
        raise DataError(
            f"there is no gallery file {gallery}",
            "without folders of references there is nothing to put into a new one",
            f"reid enroll --gallery {gallery} --checkpoint FILE FOLDER...",
        )
    if not pictures and not remove:
        known = _existing(gallery).counts()
        return Enrolled(gallery, known, known)
    with sole_writer(gallery.absolute().parent):
        old = _existing(gallery) if gallery.is_file() else None
        _require_classes(gallery, old, remove)
        new = _embedded(pictures, gallery, old, checkpoint, device) if pictures else None
        kept = old
        if old is not None:
            gone = {*remove, *((new.classes.values()) if new and replace else ())}
            kept = old.without(classes=gone, paths=set(new.embeddings.paths) if new else ())
        joined = kept.joined(new) if kept and new else kept or new
        if joined is None:
            raise DataError(
                f"without {', '.join(remove)} no reference is left in {gallery}",
                "a gallery needs at least one",
                "delete the file instead, or give folders of other references as well",
            )
        joined.write(gallery)
    result = Enrolled(gallery, joined.counts(), old.counts() if old else {})
    log.info("%s: %d references of %d classes", gallery, len(joined), len(result.classes))
    return result


def _pictures(folders: Sequence[Path]) -> dict[str, str]:
    """The class of each picture, by absolute path.

    Raises:
        DataError: a folder is missing or holds no picture, or a picture stands in two classes.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for path, name in _classes_in(folder):
            key = str(path.absolute())
            if found.setdefault(key, name) != name:
                raise DataError(
                    f"{key} is given for the classes {found[key]} and {name}",
                    "a reference shows one class",
                    "give either the folder of classes or the class's own folder",
                )
    return found


def _classes_in(folder: Path) -> list[tuple[Path, str]]:
    files, below = listed(require_folder(folder, "references"))
    own = [path for path in files if is_picture(path)]
    if own:
        if below:
            raise DataError(
                f"{folder} holds {len(own)} pictures and {len(below)} folders",
                "a folder of pictures is one class, a folder of folders holds several",
                "move the pictures into the folder of their class, or the folders elsewhere",
            )
        return [(path, folder.absolute().name) for path in own]
    subset = read_class_folders({"references": folder})["references"]
    return [(record.path, subset.classes[record.pid]) for record in subset.records]


def _existing(gallery: Path) -> References:
    """The references of the file.

    Raises:
        DataError: it holds other rows as well, which would be lost.
    """
    references = read_gallery_references(gallery)
    if (total := open_gallery(gallery, subset="all").total) != len(references):
        raise DataError(
            f"{total - len(references)} of {total} rows of {gallery} are no gallery images",
            "only references are kept, so writing the file again would lose them",
            "enroll into a file of its own",
        )
    return references


def _require_classes(gallery: Path, old: References | None, remove: Sequence[str]) -> None:
    known = list(old.counts()) if old else []
    for name in remove:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            raise DataError(
                f"{gallery} has no class {name}",
                f"it has {len(known)} classes" + (f", such as {', '.join(near)}" if near else ""),
                f"see them all with reid enroll --gallery {gallery}",
            )


def _embedded(
    pictures: Mapping[str, str], gallery: Path, old: References | None, checkpoint: Path | None, device: DeviceChoice
) -> References:
    if old is not None:
        network = checkpoint_of(gallery, old.made_by, checkpoint)
    elif checkpoint is None:
        raise CheckpointError(
            f"{gallery} is new, and no checkpoint is given",
            "its references must be embedded by some network",
            "name the trained one with --checkpoint FILE",
        )
    else:
        network = read_checkpoint(checkpoint)
    fix = "restore the picture, or take it out of its folder"
    vectors = embed_pictures([Path(path) for path in pictures], network, kind="reference", fix=fix, device=device)
    return References.of(vectors, list(pictures.values()), list(pictures), notes_on(network))
