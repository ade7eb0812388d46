"""What lies in a folder, in sorted order: its files, its folders, and all files below it."""

from __future__ import annotations

import os
from pathlib import Path

from reid.data.images import is_image
from reid.errors import DataError


def require_folder(folder: Path, name: str) -> Path:
    """The absolute path of a folder that is there.

    Args:
        name: what messages call the subset in it: "train", "query" or "gallery".

    Raises:
        DataError: it is missing or is not a folder.
    """
    root = Path(folder).expanduser().absolute()
    if root.is_dir():
        return root
    raise DataError(
        f"the {name} folder {root} {'is not a folder' if root.exists() else 'does not exist'}",
        "",
        "give a folder of images, an archive of one (.tar, .tar.gz, .zip), or a URI to one (s3://, https://, file://)",
    )


def listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files and the folders directly in a folder, without hidden folders and what macOS adds (`__MACOSX`).

    Raises:
        DataError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be listed ({error.strerror})", "", "check its permissions"
        ) from error
    files = [Path(entry.path) for entry in entries if entry.is_file()]
    folders = [entry for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__MACOSX"))]
    return files, [Path(entry.path) for entry in folders]


def files_below(folder: Path) -> list[Path]:
    """Every file in a folder and in the folders below it, sorted. Links to folders are followed, each folder once.

    Raises:
        DataError: a folder cannot be listed.
    """
    found: list[Path] = []
    waiting, seen = [folder], set()
    while waiting:
        place = waiting.pop()
        if (real := place.resolve()) not in seen:
            seen.add(real)
            files, folders = listed(place)
            found += files
            waiting += reversed(folders)
    return sorted(found)


def is_picture(path: Path) -> bool:
    """Whether a file is an image by its name. Names that begin with a dot never are (macOS adds `._0007_c2s1.jpg`)."""
    return is_image(path) and not path.name.startswith(".")
