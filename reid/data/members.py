"""Writes the members of an archive below one folder, and stops at names and sizes that no honest archive has.

Sizes are counted while writing, for an archive may lie about them.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import IO

from reid.errors import ArchiveError

MAX_MEMBERS = 5_000_000
BOMB_RATIO = 200
"""Images hardly compress: an archive that grows by more than this, past `BOMB_FLOOR_BYTES`, is a bomb."""
BOMB_FLOOR_BYTES = 256 << 20

CHUNK_BYTES = 1 << 20


class MemberWriter:
    """Writes members below one folder and keeps count.

    Args:
        folder: where they go; there already.
        label: what errors call the archive.
        max_bytes: largest sum of sizes.
        packed_bytes: the archive's own size, against which its growth is held.

    Attributes:
        bytes: all that was ever written.
        sizes: of each file that is there now.

    Its methods raise ArchiveError on what is unsafe or too large.
    """

    def __init__(self, folder: Path, label: str, max_bytes: int, packed_bytes: int) -> None:
        self.folder = folder
        self.label = label
        self.limit = max_bytes
        self.bomb_limit = max(BOMB_FLOOR_BYTES, BOMB_RATIO * packed_bytes)
        self.bytes = 0
        self.sizes: dict[PurePosixPath, int] = {}
        self._members = 0

    @property
    def files(self) -> int:
        """How many were written."""
        return len(self.sizes)

    def place(self, name: str) -> PurePosixPath:
        """The member's path below the folder; every member passes here, so members are counted here."""
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise ArchiveError(
                f"the archive {self.label} has more than {MAX_MEMBERS:,} members",
                "that is no data set of images",
                "check what it holds; split it if it is right",
            )
        path = PurePosixPath(name.replace("\\", "/"))
        windows_drive = len(name) > 1 and name[1] == ":"
        if path.is_absolute() or windows_drive or ".." in path.parts or "\0" in name:
            raise self.unsafe(name, "its path leads out of the archive's folder")
        return path

    def make_folder(self, path: PurePosixPath) -> None:
        """Makes a folder, and those above it."""
        (self.folder / path).mkdir(parents=True, exist_ok=True)

    def write(self, path: PurePosixPath, source: IO[bytes]) -> None:
        """Writes a regular file, counting while it does."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with target.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                self.bytes += len(chunk)
                self.check(self.bytes)
                size += file.write(chunk)
        self.sizes[path] = size  # in a tar that was appended to, the last member of a name counts

    def copy(self, path: PurePosixPath, original: PurePosixPath) -> None:
        """Stands for a link inside the archive."""
        if original not in self.sizes:
            raise self.unsafe(str(path), f"it links to {original}, which is no file before it in the archive")
        if path != original:
            with (self.folder / original).open("rb") as source:
                self.write(path, source)

    def check(self, number: int) -> None:
        """Refuses a whole of `number` bytes when that is too much."""
        if number > self.limit:
            raise ArchiveError(
                f"the archive {self.label} holds more than the {self.limit:,} bytes allowed",
                "it could fill the disk",
                "raise dataset.max_archive_gb if it is right",
            )
        if number > self.bomb_limit:
            raise ArchiveError(
                f"the archive {self.label} grows to more than {BOMB_RATIO} times its size",
                "images hardly compress, so this looks like a compression bomb",
                "check where it comes from; extract it yourself and give the folder if it is right",
            )

    def unsafe(self, name: str, why: str) -> ArchiveError:
        """The error about a member that must not be extracted."""
        return ArchiveError(
            f"the archive {self.label} has the member {name!r}, and {why}",
            "extracting it could overwrite or reveal other files of this machine",
            "make the archive from inside its folder, with plain files and relative names",
        )
