"""Images to recognise, of which no file name has to say anything: one image, a folder of them, or class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from reid.data.class_folders import read_class_folders
from reid.data.images import IMAGE_SUFFIXES
from reid.data.listing import is_picture, listed, require_folder
from reid.data.readers import image_folder
from reid.data.records import Subset
from reid.errors import DataError

InputKind = Literal["image", "image_folder", "classification_folder"]


def read_images(path: Path, kind: InputKind, *, name: str = "input") -> Subset:
    """The images at a place, sorted; `Subset.images` has all of them.

    Args:
        path: a file for "image", else a folder.
        kind: "image" for one file; "image_folder" for the images in a folder, those in folders below it left out (one
            that holds no image but exactly one folder stands for that one); "classification_folder" for class folders
            (`read_class_folders`), whose images have labels.
        name: what messages call them.

    Raises:
        DataError: nothing of that kind is there.
    """
    if kind != "image" and is_picture(path) and path.is_file():
        raise DataError(
            f"the {name} folder {path} is one image",
            f"inference.inference_input_type is {kind}",
            "set inference.inference_input_type=image, or give a folder",
        )
    if kind == "classification_folder":
        files, below = listed(path) if path.is_dir() else ([], [])
        if (loose := [file for file in files if is_picture(file)]) and not below:
            raise DataError(
                f"the {name} folder {path} holds {len(loose)} images and no class folder",
                f"inference.inference_input_type is {kind}",
                "set inference.inference_input_type=image_folder, or give a folder of class folders",
            )
        return read_class_folders({name: path})[name]
    if kind == "image":
        return _one(Path(path).expanduser().absolute(), name)
    assert kind in get_args(InputKind)
    root, files = image_folder(require_folder(path, name), recursive=False)
    images = tuple(file for file in files if is_picture(file))
    if not images:
        folders = listed(root)[1]
        inside = f", but {len(folders)} folders" if folders else ""
        raise DataError(
            f"the {name} folder {root} holds no image{inside}",
            "images in folders below it are not looked for",
            "give the folder that holds the images, or say that it holds class folders: "
            "inference.inference_input_type=classification_folder",
        )
    foreign = tuple(file.name for file in files if not is_picture(file))
    return Subset(name, root, (), unmatched=images, foreign=foreign)


def _one(path: Path, name: str) -> Subset:
    if not path.is_file():
        raise DataError(
            f"the {name} image {path} {'is a folder' if path.is_dir() else 'does not exist'}",
            "",
            "give an image file, or say that it is a folder of images: inference.inference_input_type=image_folder "
            "or classification_folder",
        )
    if not is_picture(path):
        raise DataError(
            f"the {name} image {path} does not end like an image",
            "",
            f"give a file that ends in {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    return Subset(name, path.parent, (), unmatched=(path,))
