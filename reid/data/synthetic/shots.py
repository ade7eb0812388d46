"""What the drawn data set shows: who stands in front of which camera, how often, and what each image is.

Every image has a random stream of its own, found by its place in the data set, so that images do not depend on which
process draws them, nor in what order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reid.data.synthetic.appearance import LOOKALIKES, Appearance, lookalikes
from reid.data.synthetic.camera import Camera, make_cameras
from reid.data.synthetic.streams import stream
from reid.data.synthetic.view import background_image, bad_box_image, person_image
from reid.labels import DISTRACTOR_PID, JUNK_PID

_CAMERAS, _PEOPLE, _STRANGERS, _IMAGES, _FRAMES = range(5)
"""First numbers of the random streams."""


@dataclass(frozen=True)
class Shot:
    """All images of one identity in one camera; the camera is counted from 1."""

    seed: int
    cameras: int
    pid: int
    camid: int
    count: int

    @property
    def prefix(self) -> str:
        """How the names of its images begin."""
        return f"{self.pid if self.pid == JUNK_PID else f'{self.pid:04d}'}_c{self.camid}s1"

    def kind_of(self, index: int) -> str:
        """Which part of the data set an image belongs to: train, query, gallery, junk or distractors."""
        if self.pid == JUNK_PID:
            return "junk"
        if self.pid == DISTRACTOR_PID:
            return "distractors"
        if self.pid % 2:
            return "train"
        return "query" if index == 0 else "gallery"

    def draw(self) -> list[tuple[str, bytes]]:
        """(name, JPEG) of each image, by rising frame number."""
        first = int(stream(self.seed, _FRAMES, self.pid + 1, self.camid).integers(1, 20_000))
        return [(f"{self.prefix}_{first + 25 * i:06d}_00.jpg", self._image(i)) for i in range(self.count)]

    def _image(self, index: int) -> bytes:
        camera = _cameras(self.cameras, self.seed)[self.camid - 1]
        rng = stream(self.seed, _IMAGES, self.pid + 1, self.camid, index)
        if self.pid > DISTRACTOR_PID:
            return person_image(_person(self.pid, self.seed), _stranger(rng, self.seed), camera, rng)
        if self.pid == JUNK_PID:
            return bad_box_image(_stranger(rng, self.seed), _stranger(rng, self.seed), camera, rng)
        if rng.random() < 0.2:
            return background_image(camera, rng)
        return person_image(_stranger(rng, self.seed), _stranger(rng, self.seed), camera, rng)


def plan_shots(identities: int, cameras: int, images_per_camera: int, seed: int) -> list[Shot]:
    """Everything to draw, in the order of the names, which is the order in the archives."""
    gallery_per_camera = identities // 2 * (images_per_camera - 1)
    counts = {JUNK_PID: max(1, gallery_per_camera // 10), DISTRACTOR_PID: max(1, gallery_per_camera // 8)}
    shots = [
        Shot(seed, cameras, pid, camid, counts.get(pid, images_per_camera))
        for pid in (JUNK_PID, DISTRACTOR_PID, *range(1, identities + 1))
        for camid in range(1, cameras + 1)
    ]
    return sorted(shots, key=lambda shot: shot.prefix)


@lru_cache(maxsize=2)
def _cameras(count: int, seed: int) -> tuple[Camera, ...]:
    return make_cameras(count, stream(seed, _CAMERAS))


@lru_cache(maxsize=64)
def _group(seed: int, kind: int, half: int, number: int) -> tuple[Appearance, ...]:
    return lookalikes(stream(seed, kind, half, number))


def _person(pid: int, seed: int) -> Appearance:
    """Look-alikes are in the same half: all for training or all for the test."""
    place, half = divmod(pid - 1, 2)
    return _group(seed, _PEOPLE, half, place // LOOKALIKES)[place % LOOKALIKES]


def _stranger(rng: np.random.Generator, seed: int) -> Appearance:
    """Someone who is no identity of the data set."""
    return _group(seed, _STRANGERS, 0, int(rng.integers(48)))[int(rng.integers(LOOKALIKES))]
