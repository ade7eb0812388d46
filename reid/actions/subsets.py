"""From the data keys of a spec to checked subsets, and from those to packed pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid.actions.recipes.table import recipe_of
from reid.data.archives import open_folder
from reid.data.cache import cache_folder
from reid.data.checks import check, usable
from reid.data.dataset_report import DatasetReport
from reid.data.images import Preprocess, is_image
from reid.data.merge import merge
from reid.data.pack import Pack, pack_images
from reid.data.records import Record, Subset
from reid.errors import DataError, SpecError
from reid.retrieval.embeddings import Embeddings, FloatArray
from reid.spec.experiment import ExperimentSpec, Place


@dataclass(frozen=True)
class Subsets:
    """Subsets that were read and checked; unreadable images are gone.

    Attributes:
        by_name: some of "train", "query", "gallery".
        report: what the check found.
        cache_dir: where packs go.
    """

    by_name: dict[str, Subset]
    report: DatasetReport
    cache_dir: Path

    def __getitem__(self, name: str) -> Subset:
        """The subset of that name."""
        return self.by_name[name]

    def pack(self, paths: Sequence[Path], preprocess: Preprocess, *, workers: int) -> Pack:
        """Pixels of some of the images at a network's input size."""
        return pack_images(
            paths,
            height=preprocess.height,
            width=preprocess.width,
            interpolation=preprocess.interpolation,
            resize=preprocess.resize,
            cache_dir=self.cache_dir,
            digests=[self.report.digests[path] for path in paths],
            workers=max(workers, 1),
        )

    @property
    def test_set(self) -> str:
        """Fingerprint of query and gallery together."""
        both = f"{self.report['query'].fingerprint} {self.report['gallery'].fingerprint}"
        return hashlib.sha256(both.encode()).hexdigest()


def open_subsets(
    spec: ExperimentSpec,
    locations: Mapping[str, Place],
    *,
    action: str,
    before_reading: Callable[[], None] = lambda: None,
) -> Subsets:
    """Fetches, extracts, reads and checks the subsets at some locations; `train` with the further sources of the spec.

    Args:
        spec: its `dataset` section says how.
        locations: for each subset name the key that gives its place, for messages, and the place.
        action: what they are opened for. Inference takes any image, and dataset reports on all before it judges.
        before_reading: called when all images are listed, and none was read yet.

    Raises:
        SpecError: a place is not set.
        DataError: nothing usable is there.
        FetchError: it cannot be fetched.
    """
    dataset, recipe = spec.dataset, recipe_of(spec)
    cache_dir = cache_folder(dataset.cache_dir)
    more = spec.more_train_places if "train" in locations else ()
    parts = {name: [name] for name in locations}
    if more:
        parts["train"] = [f"train_{number}" for number in range(1, len(more) + 2)]
    places = {
        part: place
        for name, first in locations.items()
        for part, place in zip(parts[name], [first, *(more if name == "train" else ())], strict=True)
    }
    folders = {part: _folder(spec, *place, action=action, cache_dir=cache_dir) for part, place in places.items()}
    read = recipe.read(spec, folders, action=action)
    subsets = [
        read[name] if names == [name] else merge(name, [read[part] for part in names]) for name, names in parts.items()
    ]
    if action not in ("inference", "dataset"):
        for subset in subsets:
            require_images_and_names(spec, subset, locations[subset.name][0])
    before_reading()
    report = check(*subsets, on_bad_image=dataset.on_bad_image, cache_dir=cache_dir, workers=max(spec.workers, 1))
    return Subsets({subset.name: usable(subset, report) for subset in subsets}, report, cache_dir)


def _folder(spec: ExperimentSpec, key: str, location: str, *, action: str, cache_dir: Path) -> Path:
    if not location:
        raise SpecError(
            f"{key} is not set",
            f"{action} needs the images there",
            f"add {key}=PLACE: a folder, a .tar, .tar.gz or .zip file, or a URI to one (s3://, https://, file://)",
        )
    if is_image(Path(location)) and Path(location).is_file():
        return Path(location)  # one image to recognise
    return open_folder(location, cache_dir=cache_dir, max_bytes=spec.dataset.max_archive_bytes)


def require_images_and_names(spec: ExperimentSpec, subset: Subset, key: str) -> None:
    """Refuses a subset of which a folder is empty, or has no image with a label.

    Args:
        spec: its family knows where labels stand.
        subset: as it was read.
        key: the one of the spec that names the folder; the first, of several that were merged.

    Raises:
        DataError: there is such a folder.
    """
    further = [its_key for its_key, _ in spec.more_train_places]
    for folder, its_key in zip(subset.folders, [key, *further], strict=False):
        require_images(folder, its_key)
        recipe_of(spec).require_labelled(folder)


def require_images(subset: Subset, key: str) -> None:
    """Refuses an empty subset, whatever the names of its files.

    Args:
        key: the one of the spec that names the folder, for the message.

    Raises:
        DataError: the folder holds no image.
    """
    if not subset.images:
        raise DataError(
            f"the {subset.called} folder {subset.root} ({key}) holds no image",
            f"it has {len(subset.foreign)} files, and none ends in .jpg, .jpeg, .png, .bmp or .webp",
            f"set {key} to a folder or an archive of images, or dataset.recursive=true when they lie in folders below",
        )


def embeddings_of(vectors: FloatArray, records: Sequence[Record]) -> Embeddings:
    """Vectors with the labels of their images."""
    return Embeddings(
        vectors,
        np.array([record.pid for record in records], dtype=np.int64),
        np.array([record.camid for record in records], dtype=np.int64),
        tuple(str(record.path) for record in records),
    )
