"""Writes a drawn data set of products: archives of class folders, the same bytes for the same arguments."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from reid.data.synthetic.packaging import artwork
from reid.data.synthetic.packing import add, archive
from reid.data.synthetic.product import VARIANTS, Package, Product, product_range
from reid.data.synthetic.shelf import product_image
from reid.data.synthetic.streams import stream
from reid.errors import DataError

log = logging.getLogger(__name__)

KNOWN_TRAIN, KNOWN_REFERENCE, KNOWN_VAL = "known_train", "known_reference", "known_val"
UNKNOWN_REFERENCE, UNKNOWN_TEST = "unknown_reference", "unknown_test"
"""Names of the archives, without their ending, and of the one folder inside each."""

REFERENCES, QUERIES = 4, 8
"""Pictures of each class that are references, and that ask."""

_RANGES, _PICTURES = range(2)
"""First numbers of the random streams."""


@dataclass(frozen=True)
class ClassCounts:
    """What was written.

    Attributes:
        archives: the files, by the names above.
        images: pictures in each.
        known, unknown: classes; no known range has an unknown product.
    """

    archives: dict[str, Path]
    images: dict[str, int]
    known: int
    unknown: int


def generate_classes(out: Path, *, known: int, unknown: int, images_per_class: int, seed: int) -> ClassCounts:
    """Draws products and writes known_train, known_reference, known_val, unknown_reference and unknown_test.tar.gz.

    Products come in ranges of `VARIANTS` that share package and colours. All pictures of a class differ in pose, light
    and background. Training sees the known classes; the unknown ones ask whether it learnt to compare.

    Args:
        out: folder for the archives; made when missing.
        known: classes to train on, at least 2.
        unknown: classes that no training sees, at least 2.
        images_per_class: training pictures of each known class, at least 2.
        seed: not negative.

    Raises:
        DataError: an argument is out of bounds.
        StorageError: the disk is full or not writable; no archive is left under its final name.
    """
    _check(known, unknown, images_per_class, seed)
    started = time.monotonic()
    plan = {
        KNOWN_TRAIN: (range(1, known + 1), images_per_class),
        KNOWN_REFERENCE: (range(1, known + 1), REFERENCES),
        KNOWN_VAL: (range(1, known + 1), QUERIES),
        UNKNOWN_REFERENCE: (range(known + 1, known + unknown + 1), REFERENCES),
        UNKNOWN_TEST: (range(known + 1, known + unknown + 1), QUERIES),
    }
    products = [*_products(known, seed, side=0), *_products(unknown, seed, side=1)]
    fronts = [artwork(product) for product in products]
    archives = {name: out / f"{name}.tar.gz" for name in plan}
    with ExitStack() as stack:
        for subset, (name, (classes, count)) in enumerate(plan.items()):
            tar = stack.enter_context(archive(archives[name]))
            folders = {f"{products[number - 1].package}_{number:03d}": number for number in classes}
            for folder, number in sorted(folders.items()):
                for index in range(count):
                    data = _picture(fronts, number, (seed, _PICTURES, subset, number, index))
                    add(tar, f"{name}/{folder}/{index:03d}.jpg", data)
    images = {name: len(classes) * count for name, (classes, count) in plan.items()}
    log.info("drew %d images in %.1f s into %s", sum(images.values()), time.monotonic() - started, out)
    return ClassCounts(archives, images, known, unknown)


def _products(count: int, seed: int, *, side: int) -> list[Product]:
    packages, ranges = tuple(Package), range(-(-count // VARIANTS))
    drawn = [product_range(stream(seed, _RANGES, side, n), packages[n % len(packages)]) for n in ranges]
    return [product for members in drawn for product in members][:count]


def _picture(fronts: list[Image.Image], number: int, place: tuple[int, int, int, int, int]) -> bytes:
    rng = stream(*place)
    return product_image(fronts[number - 1], fronts[int(rng.integers(len(fronts)))], rng)


def _check(known: int, unknown: int, images_per_class: int, seed: int) -> None:
    bounds = (
        ("classes", known, 2, "a class is learnt by comparing it with another"),
        ("unknown_classes", unknown, 2, "with one class the nearest reference is always right"),
        ("images_per_class", images_per_class, 2, "pictures of one class are compared with each other"),
        ("seed", seed, 0, "random streams are numbered from 0"),
    )
    for name, value, least, why in bounds:
        if value < least:
            raise DataError(f"{name} is {value}", why, f"give {name}={least} or more")
