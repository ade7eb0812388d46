"""Class maps: by which names the folders of a data set are known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from reid.data.requirements import some
from reid.errors import DataError

log = logging.getLogger(__name__)

ClassMap = Mapping[str, str] | Sequence[str]
"""A name for each folder; or names alone, for the folders in sorted order."""


def read_class_map(path: Path) -> ClassMap:
    """Reads a class map: a YAML mapping of folder to name, or one name a line for the folders in sorted order.

    The content decides which it is, not the file's name: TAO's trainer reads the first, its deployment the second.
    Every value is text: folder `001` stays `001`. Empty lines do not count.

    Raises:
        DataError: it cannot be read, is empty or no class map, or a folder or a name stands in it twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # without the mark that Windows sets
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the class map {path} cannot be read ({error})", "", "give a text file that is there, in UTF-8"
        ) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        content = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        if any(":" in line for line in lines):
            raise DataError(
                f"the class map {path} is not valid YAML: {' '.join(str(error).split())}",
                "",
                "write one `folder: name` a line, or one name a line without colons",
            ) from error
        content = None
    if isinstance(content, yaml.MappingNode):
        pairs = [(_text(folder, path), _text(name, path)) for folder, name in content.value]
        _require_unique(path, "folder", [folder for folder, _ in pairs])
        _require_unique(path, "name", [name for _, name in pairs])
        return dict(pairs)
    if not lines:
        raise DataError(f"the class map {path} is empty", "", "write one `folder: name` a line, or one name a line")
    if isinstance(content, yaml.SequenceNode):
        lines = [_text(name, path) for name in content.value]
    _require_unique(path, "name", lines)
    return tuple(lines)


def names_of_folders(folders: Iterable[str], class_map: ClassMap | None) -> dict[str, str]:
    """By which name each class folder is known: its own without a map.

    A mapping may name further folders, so that one file serves every set of images; they are logged.

    Raises:
        DataError: the map lacks a folder, or has another number of lines than there are folders.
    """
    there = sorted(set(folders))
    if class_map is None:
        return {folder: folder for folder in there}
    if not isinstance(class_map, Mapping):
        if len(class_map) != len(there):
            raise DataError(
                f"the class map names {len(class_map)} classes, and there are {len(there)} class folders",
                f"its lines stand for the folders in sorted order, so {_left_over(there, class_map)}",
                "write one line for each class folder, or a YAML mapping of folder to name",
            )
        class_map = dict(zip(there, class_map, strict=True))
    absent = sorted(set(class_map) - set(there))
    if missing := [folder for folder in there if folder not in class_map]:
        raise DataError(
            f"the class map has no entry for {some(missing)}"
            + (f", and names {some(absent)}, of which there is no folder" if absent else ""),
            f"it must name every class; the class folders are {some(there)}",
            "write one entry for each class folder",
        )
    if absent:
        log.info("further classes of the class map have no folder here: %s", some(absent))
    return {folder: class_map[folder] for folder in there}


def _text(node: yaml.Node, path: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise DataError(
            f"the class map {path} has an entry that is no name, in line {node.start_mark.line + 1}",
            "each folder has one name, a text",
            "write it as `folder: name`",
        )
    return str(node.value).strip()


def _require_unique(path: Path, what: str, values: Sequence[str]) -> None:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise DataError(
            f"the class map {path} has the {what} {some(twice)} more than once",
            "two classes of one name could not be told apart",
            "give each class a name of its own",
        )


def _left_over(folders: Sequence[str], names: Sequence[str]) -> str:
    if len(folders) > len(names):
        return f"no name is left for {some(folders[len(names) :])}"
    return f"no folder is left for {some(names[len(folders) :])}"
