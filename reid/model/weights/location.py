"""Where a file of weights can be: on this machine, behind a URI, or inside of an installed package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from reid.data.fetch import fetch, scheme_of
from reid.data.http_source import HttpSource
from reid.errors import SpecError

_PACKAGE = "package:"
_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".bin", ".tar")


def weights_file(location: str, *, cache_dir: Path, key: str = "model.pretrained_model_path") -> Path:
    """The file on this machine that `location` names.

    Args:
        location: a path; a URI (`file://`, `https://`, `http://`, `s3://`), which is fetched into the cache once for
            each of its versions; or `package:NAME/FILE`: a file of an installed package, where NAME is what it is
            installed or imported by and FILE its path inside, from the end as far as it is unambiguous.
        cache_dir: where fetched files go.
        key: of the spec that says it, for messages.

    Raises:
        SpecError: it is missing or a folder, or no such package or file in it is installed.
        FetchError: the URI cannot be fetched.
        StorageError: the cache is not writable.
    """
    if location.startswith(_PACKAGE):
        path = _in_package(location, key)
    elif scheme_of(location):
        path = fetch(location, cache_dir=cache_dir)
    else:
        path = Path(location).expanduser()
    if path.is_dir():
        raise SpecError(
            f"{key}={label_of(location)} is a folder",
            "weights are one file",
            f"give the file itself; those that look like weights there: {_weights_in(path.iterdir())}",
        )
    if not path.is_file():
        raise SpecError(
            f"{key}={location}: there is no such file",
            "the network starts from the weights in it",
            "check the path",
        )
    return path


def label_of(location: str) -> str:
    """The location as it may be shown and kept: without the password and the signature of an address."""
    return HttpSource(location).label if scheme_of(location) in ("http", "https") else location


def _in_package(location: str, key: str) -> Path:
    name, _, inside = location.removeprefix(_PACKAGE).partition("/")
    if not name or not inside:
        raise SpecError(
            f"{key}={location} names no file of a package",
            "both the package and the file in it are needed",
            f"write {key}={_PACKAGE}NAME/FILE.pth",
        )
    files = _files_of(name)
    if not files:
        raise SpecError(
            f"{key}={location}, and no package {name} is installed here",
            "its files are looked for in the environment that runs this",
            f"install it (pip install {name}), or give a file with {key}=FILE",
        )
    found = sorted(path for path in files if path.as_posix().endswith(f"/{inside}"))
    if len(found) != 1:
        raise SpecError(
            f"{key}={location}, and the package {name} has {len(found) or 'no'} such files",
            "" if not found else "one is needed: " + ", ".join(map(str, found[:5])),
            f"give its path inside of the package; files there that look like weights: {_weights_in(files)}",
        )
    return found[0]


def _files_of(name: str) -> list[Path]:
    """Files of a package by the name it is installed by, or else by that of its import, which is not imported."""
    try:
        installed = importlib.metadata.files(name)
    except importlib.metadata.PackageNotFoundError:
        installed = None
    if installed:
        return [Path(str(file.locate())) for file in installed]
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    folders = (spec.submodule_search_locations if spec else None) or []
    return [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]


def _weights_in(paths: Iterable[Path]) -> str:
    names = sorted(path.name for path in paths if path.suffix in _SUFFIXES)
    return ", ".join(names[:5]) or "none"
